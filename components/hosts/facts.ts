/** What the program knows about a host before it changes anything there. */
import type { NodeConfig } from "../../model/config";

/** The JSON that the facts script prints on a host that meets its requirements. */
export interface HostFacts {
  /** /etc/machine-id */
  machineId: string;
  /** Of the running kernel; containers may share it. */
  bootId: string;
  /** The membership ID of the node that this host is; empty if it is none. */
  membership: string;
  /** PRETTY_NAME of /etc/os-release */
  os: string;
  /** `uname -m` */
  arch: string;
  /** `uname -r` */
  kernel: string;
  cgroup: 1 | 2;
  /** The active ones of systemd-networkd, NetworkManager, netplan, ifupdown. */
  networkManagers: string[];
  /** Version, or empty if there is none. */
  containerd: string;
  /** Addresses with their prefix lengths; MTU in bytes. */
  interfaces: { name: string; addresses: string[]; mtu: number }[];
  /** The path that kubelet should hand to pods as resolv.conf. */
  resolvConf: string;
  /** With `endpoint.kind: vip`, the MAC addresses of its interfaces. */
  macs?: string[];
  /** And the MAC address that answers for the endpoint's address on its network; empty if none does, or if the host itself has it. */
  endpointMac?: string;
  /** What is a risk and no reason to stop, a line each. Absent in the state of an older program. */
  warnings?: string[];
}

/** A node and the facts of its host. */
export interface NodeFacts {
  node: NodeConfig;
  facts: HostFacts;
  /** The key that the host has shown; undefined if the program itself made the machine. */
  hostKey?: string | undefined;
}
