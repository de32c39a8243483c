/**
 * What a host must meet before anything on it is changed. The facts script runs the tests on the host itself, so that a host that
 * fails leaves no facts in the stack's state, and the next run checks it again.
 */
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { minorOf } from "../../model/versions";
import { firewallRequirements } from "./firewall-requirements";
import { kernelRequirements } from "./kernel-requirements";
import { proxyRequirements } from "./proxy";
import { type Requirement, requirementIds, requirementLine } from "./requirement";
import { softwareRequirements } from "./software-requirements";

export { type Requirement, type RequirementId, requirementIds } from "./requirement";

/**
 * Minimum machine sizes. Control plane: ControlPlaneNumCPU and ControlPlaneMem of kubeadm
 * (cmd/kubeadm/app/constants/constants.go). Worker: kubelet, containerd, tailscaled and Cilium's agent take about 600 MiB.
 */
const least = {
  "control-plane": { cpus: 2, memoryMiB: 1700 },
  worker: { cpus: 1, memoryMiB: 700 },
} as const;

/** Images and state of a node without workload take about 4 GiB. */
const leastDiskMiB = 5 * 1024;

/**
 * Cilium 1.18 and newer require 5.10 (docs.cilium.io, System Requirements). 1.15 requires 4.19.57, but 5.8 for NodePort on a device
 * without link-layer addresses such as tailscale0. 5.10 is the first long-term kernel after that.
 */
const leastKernel = "5.10";

/** The oldest version whose `systemctl` and networkd have everything that our units use; Ubuntu 20.04 has it. */
const leastSystemd = 245;

/** A host whose clock is before this program was written has no valid time, and rejects every certificate. */
const earliestEpoch = Date.UTC(2026, 0, 1) / 1000;

/** https://kubernetes.io/docs/reference/networking/ports-and-protocols and docs.cilium.io, System Requirements. */
export const everyNodesPorts = [4240, 4244, 9879, 10248, 10250];
export const controlPlanesPorts = [2379, 2380, 2381, 10257, 10259];

/**
 * Oldest containerd for a version of Kubernetes. CRI v1, the only version that kubelet speaks since 1.26, came with containerd 1.6.
 * Kubernetes 1.38 needs the method RuntimeConfig, which came with 2.0; up to 1.37, kubeadm only warns if it is missing
 * (cmd/kubeadm/app/preflight/checks.go of 1.37).
 */
export function leastContainerd(kubernetesVersion: string): string {
  return minorOf(kubernetesVersion) >= 38 ? "2.0" : "1.6";
}

/** Ports that must be free on a node's host: TCP, or UDP with the suffix `/udp`. */
export function neededPorts(node: NodeConfig, config: ClusterConfig): string[] {
  const tcp =
    node.role === "control-plane" ? [...everyNodesPorts, ...controlPlanesPorts, config.apiServerPort] : everyNodesPorts;
  return [...tcp.map(String), ...(config.podRouting === "vxlan" ? [`${config.tunnelPort}/udp`] : [])];
}

/** Whether kubeadm checks the kernel itself. It compares the names of its checks without regard to case. */
function isKernelVerified({ hostProfile }: ClusterConfig): boolean {
  return !hostProfile.ignorePreflightErrors.some((name) => ["systemverification", "all"].includes(name.toLowerCase()));
}

function kernelRequirement(config: ClusterConfig): Requirement {
  const required = `the kernel is $kernel; Cilium's NodePort${config.nodeNetwork === "tailnet" ? " on tailscale0" : ""} requires ${leastKernel} or newer`;
  // kubeadm's SystemVerification (k8s.io/system-validators, validators/types_unix.go): the long-term kernels of 5.x, and all newer ones.
  return isKernelVerified(config)
    ? {
        id: "kernel",
        test: `version_at_least "$kernel" ${leastKernel} && [[ $kernel != 5.* || $kernel =~ ^5\\.1[05]([^0-9]|$) ]]`,
        problem:
          `${required}, and of 5.x kubeadm accepts only 5.10 and 5.15. Boot another kernel or, if it is 5.10 or newer, add ` +
          "SystemVerification to ignorePreflightErrors in a host profile.",
      }
    : {
        id: "kernel",
        test: `version_at_least "$kernel" ${leastKernel}`,
        problem: `${required}. Boot a newer kernel.`,
      };
}

/** Without a bundle, it is installed. */
function ethtoolRequirement(config: ClusterConfig, node: NodeConfig): Requirement[] {
  const user =
    node.lan?.checksumOffload === false
      ? "checksumOffload: false"
      : config.nodeNetwork === "tailnet" && config.tailnet.udpGroForwarding
        ? "tailnet.udpGroForwarding"
        : undefined;
  return config.bundle === undefined || user === undefined
    ? []
    : [
        {
          id: "tools",
          test: "command -v ethtool >/dev/null",
          problem: `the command ethtool is missing, which ${user} needs. Install the package that contains it.`,
        },
      ];
}

/** The requirements of this node's host, without those that the host profile skips. */
export function requirements(node: NodeConfig, config: ClusterConfig): Requirement[] {
  const { cpus, memoryMiB } = least[node.role];
  const { kubelet, skipHostChecks } = config.hostProfile;
  const oldestContainerd = leastContainerd(config.kubernetesVersion);
  const isLan = config.nodeNetwork === "lan";
  const smaller = node.role === "worker" ? "Add more." : "Add more, or make it a worker.";
  const all: (Requirement | undefined)[] = [
    {
      id: "privilege",
      test: '[ "$privilege" != none ]',
      problem: `${node.host.user} is not root and sudo asks for a password. Allow sudo without one, or set sudoPassword or host.user: root.`,
    },
    {
      id: "os",
      test: "os_at_least debian 12 || os_at_least raspbian 12 || os_at_least ubuntu 22.04",
      problem:
        "the operating system is $os_name; Debian 12, Raspberry Pi OS 12, Ubuntu 22.04 or newer is required. Install one of " +
        "them, or add os to skipHostChecks in a host profile.",
    },
    {
      id: "arch",
      test: '[ "$arch" = x86_64 ] || [ "$arch" = aarch64 ]',
      problem: "the architecture is $arch; x86_64 or aarch64 is required. Install a 64-bit system.",
    },
    kernelRequirement(config),
    {
      id: "kernel-features",
      test: isLan
        ? 'missing_kernel=${missing_kernel/CONFIG_TUN /}; [ -z "$missing_kernel" ]'
        : '[ -z "$missing_kernel" ]',
      problem: `the kernel $kernel lacks \${missing_kernel% }, which Cilium${isLan ? " needs" : " and Tailscale need"}. Boot the distribution's generic kernel.`,
    },
    isLan
      ? undefined
      : {
          id: "tun",
          test: '[ "$tun" = true ]',
          problem:
            "/dev/net/tun is missing, which Tailscale needs. Load the module tun, or pass the device into the container.",
        },
    {
      id: "systemd",
      test: `[ "$systemd" -ge ${leastSystemd} ]`,
      problem: `systemd is $systemd (0: not process 1); ${leastSystemd} or newer is required. Boot the host with it.`,
    },
    kubelet.failCgroupV1 !== false
      ? {
          id: "cgroup",
          test: '[ "$cgroup" = 2 ]',
          problem:
            "the host runs cgroup v1, on which kubelet 1.35 and newer do not start. Boot with " +
            "systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in a host profile.",
        }
      : undefined,
    {
      id: "network-manager",
      test: '[ -n "$network_managers" ]',
      problem:
        "no network manager is active; systemd-networkd, NetworkManager, ifupdown or netplan is required. Enable the one that " +
        "configures the host, or its network will be gone after a reboot.",
    },
    {
      id: "resolv-conf",
      test: '[ -n "$name_servers" ]',
      problem:
        "$resolv_conf has no name server, so CoreDNS would not start. Configure one in the network manager or in the file.",
    },
    {
      id: "resolv-conf",
      kind: "new host",
      test: '[ -z "$own_servers" ]',
      problem:
        "$resolv_conf names a server on this host's own loopback: $own_servers. In a pod that is the pod itself, so CoreDNS would ask itself. " +
        "Name servers that other machines can reach, such as the host's own address in its network if the server listens there.",
    },
    {
      id: "resolv-conf",
      kind: "new host",
      test: '[ -z "$name_servers" ] || [ -n "$own_servers" ] || [ -n "$reachable_servers" ]',
      problem:
        "$resolv_conf names only servers with IPv6 addresses: ${name_servers% }. Pods have IPv4 alone and cannot reach them. Add a server with " +
        "an IPv4 address.",
    },
    {
      id: "clock",
      test: `[ "$epoch" -ge ${earliestEpoch} ]`,
      problem:
        "its clock says $(date -u +%F), so it rejects every certificate. Set the clock: timedatectl set-ntp true.",
    },
    {
      id: "clock-sync",
      test: '[ "$clock_synced" = true ]',
      problem:
        "the clock is not synchronised. Install systemd-timesyncd or chrony, and wait until timedatectl says that it is.",
    },
    {
      id: "cpus",
      test: `[ "$cpus" -ge ${cpus} ]`,
      problem: `it has $cpus CPU; a ${node.role} needs at least ${cpus}. ${smaller}`,
    },
    {
      id: "memory",
      test: `[ "$memory_mib" -ge ${memoryMiB} ]`,
      problem: `it has $memory_mib MiB of memory; a ${node.role} needs at least ${memoryMiB} MiB. ${smaller}`,
    },
    {
      id: "disk",
      test: `[ "$disk_free_mib" -ge ${leastDiskMiB} ]`,
      problem: `$disk_free_mib MiB are free in /var/lib; ${leastDiskMiB} MiB are required. Free some space, or add a disk.`,
    },
    kubelet.failSwapOn !== false
      ? {
          id: "swap",
          test: '[ "$swap" = false ]',
          problem:
            "swap is on, so kubelet would not start. Turn it off permanently (swapoff -a, and its line in /etc/fstab, " +
            "zram or dphys-swapfile), or set kubelet.failSwapOn: false in a host profile.",
        }
      : undefined,
    {
      id: "ports",
      test: `taken=$(ports_taken ${neededPorts(node, config).join(" ")}); [ -z "$taken" ]`,
      problem:
        "these ports, which Kubernetes, etcd or Cilium needs, are taken: ${taken% }. Stop the process or change its port" +
        `${config.podRouting === "vxlan" ? `, or, for ${config.tunnelPort}/udp, choose another network.tunnelPort` : ""}.`,
    },
    {
      id: "tools",
      test: '[ -z "$missing_tools" ]',
      problem: "these commands are missing: ${missing_tools% }. Install the packages that contain them.",
    },
    ...ethtoolRequirement(config, node),
    {
      id: "containerd",
      test: `[ -z "$containerd" ] || { [[ $containerd == [0-9]* ]] && version_at_least "$containerd" ${oldestContainerd}; }`,
      problem: `containerd is $containerd; Kubernetes ${config.kubernetesVersion} requires ${oldestContainerd} or newer. Upgrade its package, or remove it.`,
    },
    config.bundle === undefined && config.containerdVersion !== undefined
      ? {
          id: "containerd",
          test: `[ -z "$containerd_package" ] || [ "$containerd_package" = containerd ] || [ "$containerd" = ${config.containerdVersion} ]`,
          problem:
            `containerd is $containerd from $containerd_package. kubernetes.containerdVersion ${config.containerdVersion} would replace ` +
            "that package and remove packages that depend on it, such as Docker. Remove that key, or upgrade the package to that version.",
        }
      : undefined,
    {
      id: "foreign-cluster",
      test: '[ "$kubernetes" != foreign ]',
      problem:
        "it is in a Kubernetes cluster that this program did not create: ${foreign_files% }. If nothing needs it, remove it: $foreign_cure.",
    },
    {
      id: "kubernetes-containers",
      test: '[ -z "$k8s_containers" ]',
      problem:
        "containerd has containers in the namespace k8s.io that this program did not create: ${k8s_containers% }. The kubelet would " +
        "remove them. Remove them, or use another host. To list them: ctr -n k8s.io containers ls.",
    },
    node.role === "control-plane"
      ? {
          id: "etcd-data",
          test: '[ -z "$etcd_data" ]',
          problem:
            "/var/lib/etcd contains data that is not from this cluster: ${etcd_data% }. It must be empty on a control plane. Move it away: " +
            "mv /var/lib/etcd /var/lib/etcd.old.",
        }
      : undefined,
    config.bundle !== undefined
      ? {
          id: "bundle",
          test: `[ "$bundle_version $bundle_arch" = "${config.kubernetesVersion} $arch" ]`,
          problem:
            `the offline bundle at ${config.bundle} has Kubernetes \${bundle_version:-(none)} for \${bundle_arch:-(none)}; ` +
            `${config.kubernetesVersion} for $arch is required. Copy the right bundle there, or remove the config key bundle.`,
        }
      : undefined,
    ...kernelRequirements(node, config),
    ...firewallRequirements(node, config),
    ...softwareRequirements(config),
    ...proxyRequirements(config, node),
  ];
  const order = (r: Requirement) => requirementIds.indexOf(r.id);
  return all
    .filter((r): r is Requirement => r !== undefined && !skipHostChecks.includes(r.id))
    .sort((a, b) => order(a) - order(b));
}

/** The requirements as bash, for the facts script. */
export function requirementsScript(node: NodeConfig, config: ClusterConfig): string {
  return requirements(node, config).map(requirementLine).join("\n");
}
