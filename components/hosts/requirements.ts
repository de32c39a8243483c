/**
 * What a host has to be before anything on it is changed. The numbers and texts are kept here; they are tested on the host
 * itself, by the facts script, so that a host that fails leaves no facts in the stack's state: the next run, with the
 * host mended, looks again.
 */
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { minorOf } from "../../model/versions";

/** One requirement. Both texts are bash: they may use the variables that host/stages/facts.sh sets. */
export interface Requirement {
  /** For `skipHostChecks` of a host profile. */
  id: RequirementId;
  /** A command that succeeds on a host that is fit. */
  test: string;
  /** What was found, what is wanted, what to do: the inside of a double-quoted text. */
  problem: string;
}

/**
 * Least machine sizes. Control plane: ControlPlaneNumCPU and ControlPlaneMem of kubeadm
 * (cmd/kubeadm/app/constants/constants.go). Worker: kubelet, containerd, tailscaled and Cilium's agent take about 600 MiB.
 */
const least = {
  "control-plane": { cpus: 2, memoryMiB: 1700 },
  worker: { cpus: 1, memoryMiB: 700 },
} as const;

/** Images and state of a node without workload take about 4 GiB. */
const leastDiskMiB = 5 * 1024;

/**
 * Cilium 1.18 and newer ask for 5.10 (docs.cilium.io, System Requirements); 1.15 for 4.19.57, but NodePort on a device
 * without link-layer addresses, as tailscale0 is one, for 5.8. 5.10 is the first long-term kernel after that.
 */
const leastKernel = "5.10";

/** The oldest whose `systemctl` and networkd do all that the units rely on; Ubuntu 20.04 has it. */
const leastSystemd = 245;

/** A host whose clock stands before this program was written has none, and every certificate is invalid to it. */
const earliestEpoch = Date.UTC(2026, 0, 1) / 1000;

/** https://kubernetes.io/docs/reference/networking/ports-and-protocols and docs.cilium.io, System Requirements. */
export const everyNodesPorts = [4240, 4244, 9879, 10248, 10250];
export const controlPlanesPorts = [2379, 2380, 2381, 10257, 10259];

const ids = [
  "privilege",
  "os",
  "arch",
  "kernel",
  "kernel-features",
  "tun",
  "systemd",
  "cgroup",
  "network-manager",
  "resolv-conf",
  "clock",
  "clock-sync",
  "cpus",
  "memory",
  "disk",
  "swap",
  "ports",
  "tools",
  "containerd",
  "foreign-cluster",
  "kubernetes-containers",
  "etcd-data",
  "bundle",
] as const;

export type RequirementId = (typeof ids)[number];

/** The ids of all requirements, for the check of `skipHostChecks`. */
export const requirementIds: readonly string[] = ids;

/**
 * Oldest containerd for a version of Kubernetes. CRI v1, which kubelet has spoken alone since 1.26, came with containerd
 * 1.6. Kubernetes 1.38 needs the method RuntimeConfig, which came with 2.0: up to 1.37 kubeadm warns where it is missing
 * (cmd/kubeadm/app/preflight/checks.go of 1.37).
 */
export function leastContainerd(kubernetesVersion: string): string {
  return minorOf(kubernetesVersion) >= 38 ? "2.0" : "1.6";
}

/** Ports that must be free on a node's host: TCP, or UDP where `/udp` follows. */
export function neededPorts(node: NodeConfig, config: ClusterConfig): string[] {
  const tcp =
    node.role === "control-plane" ? [...everyNodesPorts, ...controlPlanesPorts, config.apiServerPort] : everyNodesPorts;
  return [...tcp.map(String), ...(config.podRouting === "vxlan" ? [`${config.tunnelPort}/udp`] : [])];
}

/** Whether kubeadm judges the kernel for itself. It knows its checks in any case of letters. */
function isKernelVerified({ hostProfile }: ClusterConfig): boolean {
  return !hostProfile.ignorePreflightErrors.some((name) => ["systemverification", "all"].includes(name.toLowerCase()));
}

function kernelRequirement(config: ClusterConfig): Requirement {
  const wanted = `the kernel is $kernel; wanted is ${leastKernel} or newer, for Cilium's NodePort${config.nodeNetwork === "tailnet" ? " on tailscale0" : ""}`;
  // kubeadm's SystemVerification (k8s.io/system-validators, validators/types_unix.go): the long-term ones of 5.x, and all newer.
  return isKernelVerified(config)
    ? {
        id: "kernel",
        test: `version_at_least "$kernel" ${leastKernel} && [[ $kernel != 5.* || $kernel =~ ^5\\.1[05]([^0-9]|$) ]]`,
        problem:
          `${wanted}, and of 5.x kubeadm takes 5.10 and 5.15 alone. Boot another one, or name SystemVerification in ` +
          "ignorePreflightErrors of a host profile if it is 5.10 or newer.",
      }
    : {
        id: "kernel",
        test: `version_at_least "$kernel" ${leastKernel}`,
        problem: `${wanted}. Boot a newer one.`,
      };
}

/** What this node's host has to meet, without what the host profile skips. */
export function requirements(node: NodeConfig, config: ClusterConfig): Requirement[] {
  const { cpus, memoryMiB } = least[node.role];
  const { kubelet, skipHostChecks } = config.hostProfile;
  const oldestContainerd = leastContainerd(config.kubernetesVersion);
  const isLan = config.nodeNetwork === "lan";
  const smaller = node.role === "worker" ? "Give it more." : "Give it more, or make it a worker.";
  const all: (Requirement | undefined)[] = [
    {
      id: "privilege",
      test: '[ "$privilege" != none ]',
      problem: `${node.host.user} is not root and sudo asks for a password. Allow sudo without one, or set host.user: root.`,
    },
    {
      id: "os",
      test: "os_at_least debian 12 || os_at_least raspbian 12 || os_at_least ubuntu 22.04",
      problem:
        "the operating system is $os_name; wanted is Debian 12, Raspberry Pi OS 12, Ubuntu 22.04 or newer. Install one of " +
        "them, or name the check os in skipHostChecks of a host profile.",
    },
    {
      id: "arch",
      test: '[ "$arch" = x86_64 ] || [ "$arch" = aarch64 ]',
      problem: "the architecture is $arch; wanted is x86_64 or aarch64. Install a 64-bit system.",
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
          problem: "/dev/net/tun is missing, which Tailscale needs. Load the module tun, or pass the device in.",
        },
    {
      id: "systemd",
      test: `[ "$systemd" -ge ${leastSystemd} ]`,
      problem: `systemd is $systemd (0: not process 1); wanted is ${leastSystemd} or newer. Boot the host with it.`,
    },
    kubelet.failCgroupV1 !== false
      ? {
          id: "cgroup",
          test: '[ "$cgroup" = 2 ]',
          problem:
            "the host runs cgroup v1, with which kubelet 1.35 and newer do not start. Boot with " +
            "systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in a host profile.",
        }
      : undefined,
    {
      id: "network-manager",
      test: '[ -n "$network_managers" ]',
      problem:
        "no network manager is active; wanted is systemd-networkd, NetworkManager, ifupdown or netplan. Enable the one that " +
        "configures the host, or its network is gone after a reboot.",
    },
    {
      id: "resolv-conf",
      test: '[ -n "$name_servers" ]',
      problem:
        "$resolv_conf names no server, so CoreDNS would not start there. Give the network manager one, or name it in the file.",
    },
    {
      id: "clock",
      test: `[ "$epoch" -ge ${earliestEpoch} ]`,
      problem:
        "its clock says $(date -u +%F), so every certificate is invalid to it. Set it: timedatectl set-ntp true.",
    },
    {
      id: "clock-sync",
      test: '[ "$clock_synced" = true ]',
      problem:
        "the clock is not synchronised. Install systemd-timesyncd or chrony and wait for timedatectl to say yes.",
    },
    {
      id: "cpus",
      test: `[ "$cpus" -ge ${cpus} ]`,
      problem: `it has $cpus CPU; a ${node.role} needs ${cpus}. ${smaller}`,
    },
    {
      id: "memory",
      test: `[ "$memory_mib" -ge ${memoryMiB} ]`,
      problem: `it has $memory_mib MiB of memory; a ${node.role} needs ${memoryMiB} MiB. ${smaller}`,
    },
    {
      id: "disk",
      test: `[ "$disk_free_mib" -ge ${leastDiskMiB} ]`,
      problem: `$disk_free_mib MiB are free below /var/lib; wanted are ${leastDiskMiB} MiB. Free some, or add a disk.`,
    },
    kubelet.failSwapOn !== false
      ? {
          id: "swap",
          test: '[ "$swap" = false ]',
          problem:
            "swap is on, with which kubelet does not start. Turn it off for good (swapoff -a, and its line in /etc/fstab, " +
            "zram or dphys-swapfile), or set kubelet.failSwapOn: false in a host profile.",
        }
      : undefined,
    {
      id: "ports",
      test: `taken=$(ports_taken ${neededPorts(node, config).join(" ")}); [ -z "$taken" ]`,
      problem:
        "these ports, which Kubernetes, etcd or Cilium need, are taken: ${taken% }. Stop the process or move it" +
        `${config.podRouting === "vxlan" ? `, or, for ${config.tunnelPort}/udp, choose another network.tunnelPort` : ""}.`,
    },
    {
      id: "tools",
      test: '[ -z "$missing_tools" ]',
      problem: "these commands are missing: ${missing_tools% }. Install the packages that hold them.",
    },
    config.bundle !== undefined && node.lan?.checksumOffload === false
      ? {
          id: "tools",
          test: "command -v ethtool >/dev/null",
          problem:
            "the command ethtool is missing, which checksumOffload: false needs. Install the package that holds it.",
        }
      : undefined,
    {
      id: "containerd",
      test: `[ -z "$containerd" ] || { [[ $containerd == [0-9]* ]] && version_at_least "$containerd" ${oldestContainerd}; }`,
      problem: `containerd is $containerd; Kubernetes ${config.kubernetesVersion} wants ${oldestContainerd} or newer. Upgrade its package, or remove it.`,
    },
    config.bundle === undefined && config.containerdVersion !== undefined
      ? {
          id: "containerd",
          test: `[ -z "$containerd_package" ] || [ "$containerd_package" = containerd ] || [ "$containerd" = ${config.containerdVersion} ]`,
          problem:
            `containerd is $containerd of $containerd_package, and kubernetes.containerdVersion ${config.containerdVersion} would replace it ` +
            "and remove what depends on it, such as Docker. Remove the config key kubernetes.containerdVersion, or upgrade it to that version.",
        }
      : undefined,
    {
      id: "foreign-cluster",
      test: '[ "$kubernetes" != foreign ]',
      problem:
        "it is in a Kubernetes cluster that this program did not make: ${foreign_files% }. Take it out: kubeadm reset, or the " +
        "uninstaller of k3s, RKE2 or MicroK8s.",
    },
    {
      id: "kubernetes-containers",
      test: '[ -z "$k8s_containers" ]',
      problem:
        "containerd holds containers in Kubernetes' namespace that this program did not make: ${k8s_containers% }. The kubelet " +
        "would remove them. Remove them, or take another host: ctr -n k8s.io containers ls.",
    },
    node.role === "control-plane"
      ? {
          id: "etcd-data",
          test: '[ -z "$etcd_data" ]',
          problem:
            "/var/lib/etcd holds data that is not this cluster's: ${etcd_data% }. A control plane needs it empty. Move it away: " +
            "mv /var/lib/etcd /var/lib/etcd.old.",
        }
      : undefined,
    config.bundle !== undefined
      ? {
          id: "bundle",
          test: `[ "$bundle_version $bundle_arch" = "${config.kubernetesVersion} $arch" ]`,
          problem:
            `the offline bundle at ${config.bundle} holds Kubernetes \${bundle_version:-nothing} for \${bundle_arch:-no machine}; ` +
            `wanted is ${config.kubernetesVersion} for $arch. Copy the right one there, or remove the config key bundle.`,
        }
      : undefined,
  ];
  return all.filter((r): r is Requirement => r !== undefined && !skipHostChecks.includes(r.id));
}

/** The requirements as bash, for the facts script: each unmet one calls `problem TEXT`. */
export function requirementsScript(node: NodeConfig, config: ClusterConfig): string {
  return requirements(node, config)
    .map(({ test, problem }) => `{ ${test}; } || problem "${problem}"`)
    .join("\n");
}
