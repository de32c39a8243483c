/** What else runs on a host, and what will come of it. */
import type { ClusterConfig } from "../../model/config";
import { isValues, merge } from "../../model/merge";
import type { Requirement } from "./requirement";

export function softwareRequirements({ containerdVersion, hostProfile, cilium }: ClusterConfig): Requirement[] {
  const { cni } = merge(hostProfile.ciliumValues, cilium.values);
  const isExclusive = !(isValues(cni) && cni.exclusive === false);
  const found: Requirement[] = [
    {
      id: "apparmor",
      kind: "new host",
      answer: "runc_profile",
      // A version that replaces the host's comes with another runc, which the profile does not confine.
      test:
        containerdVersion === undefined
          ? '[ "$runc_profile" != yes ]'
          : `[ "$containerd" != ${containerdVersion} ] || [ "$runc_profile" != yes ]`,
      problem:
        "containerd $containerd does not let this host's runc stop containers, which AppArmor confines by the profile runc: pods could not be " +
        "deleted. Upgrade its package: apt-get install --only-upgrade containerd.",
    },
    {
      id: "container-engines",
      kind: "risk",
      answer: "docker",
      test: '[ -z "$docker" ] || is_ours',
      problem:
        "$docker. It stays, and Kubernetes uses its containerd, too: the run adds its own settings to /etc/containerd/config.toml and restarts " +
        "containerd, which stops no container. A destroy restores the file. Kubernetes does not count what Docker's containers use.",
    },
  ];
  if (isExclusive) {
    found.push({
      id: "container-engines",
      kind: "risk",
      test: '[ -z "$other_networks" ] || is_ours',
      problem:
        "another container engine has networks in /etc/cni/net.d: ${other_networks% }. While the host is a node, Cilium renames these files to " +
        "*.cilium_bak, so that podman and others cannot start containers in them; a destroy restores them. To keep them, set cni: { exclusive: " +
        "false } in cilium.values.",
    });
  }
  return found;
}
