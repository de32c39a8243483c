/** What a host's kernel and its own system must have, beside their versions. */
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { isValues, merge } from "../../model/merge";
import type { Requirement } from "./requirement";

/**
 * tcmalloc in cilium-envoy asks for addresses of up to 46 bits, and aborts without them (cilium/proxy#1027). Kernels for small boards often
 * have 39, others 47 or 48.
 */
const leastAddressBits = 47;

/**
 * For containers' logs (by the kubelet's defaults up to 50 MiB each) and the API server's audit log (up to 1 GiB). Systems that keep
 * /var/log in memory have 40 to 200 MiB.
 */
const leastLogMiB = 512;

/** Whether Cilium runs Envoy by these values; both are on in the chart. */
function runsEnvoy({ hostProfile, cilium }: ClusterConfig): boolean {
  const values = merge(hostProfile.ciliumValues, cilium.values);
  const { envoy } = values;
  return values.l7Proxy !== false && !(isValues(envoy) && envoy.enabled === false);
}

/** Whether the kubelet does without the kernel's log. */
function isInUserNamespace({ hostProfile, settings }: ClusterConfig, node: NodeConfig): boolean {
  return [hostProfile.kubelet, settings?.kubelet, node.kubelet, settings].some(
    (fields) => isValues(fields?.featureGates) && fields.featureGates.KubeletInUserNamespace === true,
  );
}

export function kernelRequirements(node: NodeConfig, config: ClusterConfig): Requirement[] {
  const found: Requirement[] = [
    {
      id: "cgroup-controllers",
      kind: "new host",
      answer: "missing_cgroups",
      test: '[ -z "$missing_cgroups" ]',
      problem:
        "these cgroup controllers are missing, which the kubelet requires: ${missing_cgroups% }. $(cgroups_cure $missing_cgroups).",
    },
  ];
  if (config.podRouting === "vxlan") {
    found.push({
      id: "vxlan",
      kind: "new host",
      answer: "vxlan",
      test: '[ "$vxlan" = yes ]',
      problem:
        "the kernel $kernel cannot load the module vxlan, which network.podRouting: vxlan requires. $(vxlan_cure $os_id), or set " +
        "network.podRouting: native.",
    });
  }
  if (runsEnvoy(config)) {
    found.push({
      id: "address-bits",
      kind: "new host",
      answer: "address_bits",
      test: `[ "$arch" != aarch64 ] || [ "$userland" != arm64 ] || [ "$address_bits" -ge ${leastAddressBits} ]`,
      problem:
        `the kernel $kernel has addresses of $address_bits bits; Cilium's Envoy requires ${leastAddressBits} or more. Boot a kernel with ` +
        "CONFIG_ARM64_VA_BITS=48, such as that of Debian or Ubuntu, or set envoy: { enabled: false } in cilium.values: the cluster then has " +
        "no HTTP rules, no Ingress and no Gateway API of Cilium.",
    });
  }
  if (!isInUserNamespace(config, node)) {
    found.push({
      id: "kmsg",
      kind: "new host",
      answer: "kernel_log",
      test: '[ -z "$kernel_log" ]',
      problem:
        "/dev/kmsg $kernel_log, and the kubelet does not start without it. Let the container have it (LXC: lxc.mount.entry = /dev/kmsg " +
        "dev/kmsg none bind,optional,create=file), or use a virtual machine.",
    });
  }
  found.push(
    {
      id: "userland",
      kind: "new host",
      answer: "userland",
      test: "case $arch:$userland in x86_64:amd64 | aarch64:arm64) ;; x86_64:* | aarch64:*) false ;; esac",
      problem:
        "the kernel is 64-bit ($arch), but the system on it is not ($userland); amd64 or arm64 is required. Install the 64-bit edition of the " +
        "operating system.",
    },
    {
      id: "log-space",
      kind: "new host",
      answer: "log_space",
      test: `read -r log_mib log_folder log_device <<<"$log_space"; [ "$log_mib" -ge ${leastLogMiB} ]`,
      problem: `$log_mib MiB are free for logs in $log_folder (on $log_device); ${leastLogMiB} MiB are required. $(log_space_cure).`,
    },
  );
  return found;
}

/** The folders that get this node's logs. */
export function logFolders(
  { role }: Pick<NodeConfig, "role">,
  { security }: Pick<ClusterConfig, "security">,
): string[] {
  return ["/var/log/pods", ...(role === "control-plane" && security.auditLog ? ["/var/log"] : [])];
}
