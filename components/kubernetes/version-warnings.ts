/**
 * Warnings about versions of Kubernetes, Cilium and containerd that are not tested together or no longer supported, and about hosts
 * that may not be able to run them. Versions that are known not to work are rejected: `leastContainerd` in host-requirements.ts, and the
 * oldest minors in model/releases.ts and config/schema/software.ts. The catalogue is model/releases.json.
 */
import type { ClusterConfig } from "../../model/config";
import {
  ciliumRelease,
  ciliumReleases,
  containerdRelease,
  isContainerdTested,
  isOutOfSupport,
  isTestedTogether,
  kubernetesRelease,
  newestKubernetesMinor,
} from "../../model/releases";
import { compareVersions, minorOf } from "../../model/versions";
import { leastContainerd } from "../hosts/host-requirements";

type Versions = Pick<ClusterConfig, "bundle" | "kubernetesVersion" | "containerdVersion" | "cilium">;

/**
 * A line for each combination that is not known to be tested. None if Kubernetes is newer than the catalogue, which has its own
 * warning.
 */
export function versionWarnings({ bundle, kubernetesVersion, containerdVersion, cilium }: Versions): string[] {
  const kubernetes = minorOf(kubernetesVersion);
  if (kubernetes > newestKubernetesMinor) return [];
  const found: string[] = [];
  const agent = ciliumRelease(cilium.version);
  if (agent === undefined) {
    found.push(
      `cilium.version: ${cilium.version} is newer than ${ciliumReleases[0]!.minor}, the newest that this program knows. Check ` +
        `in Cilium's documentation that it supports Kubernetes 1.${kubernetes}.`,
    );
  } else if (!isTestedTogether(agent, kubernetesVersion)) {
    const fitting = ciliumReleases.filter((one) => isTestedTogether(one, kubernetesVersion)).map(({ minor }) => minor);
    found.push(
      `cilium.version: ${cilium.version} with Kubernetes ${kubernetesVersion} is not tested: Cilium tests ${agent.minor} with ` +
        `${agent.kubernetes[0]} to ${agent.kubernetes[1]}. Tested with 1.${kubernetes}: ${fitting.join(", ") || "none yet"}.`,
    );
  }
  const ownContainerd = bundle === undefined ? containerdVersion : undefined;
  if (ownContainerd !== undefined && !isContainerdTested(ownContainerd, kubernetesVersion)) {
    found.push(
      `kubernetes.containerdVersion: ${ownContainerd} with Kubernetes ${kubernetesVersion} is not tested. containerd recommends ` +
        `${kubernetesRelease(kubernetesVersion)!.containerdTested.join(", ")} or newer patches of these.`,
    );
  }
  return found;
}

/**
 * A line for each version that no longer gets fixes.
 *
 * @param today YYYY-MM-DD.
 */
export function outOfSupport(
  { bundle, kubernetesVersion, containerdVersion, cilium }: Versions,
  today: string,
): string[] {
  const ownContainerd = bundle === undefined ? containerdVersion : undefined;
  const wanted = [
    { key: "kubernetes.version", version: kubernetesVersion, release: kubernetesRelease(kubernetesVersion) },
    { key: "cilium.version", version: cilium.version, release: ciliumRelease(cilium.version) },
    ...(ownContainerd === undefined
      ? []
      : [{ key: "kubernetes.containerdVersion", version: ownContainerd, release: containerdRelease(ownContainerd) }]),
  ];
  return wanted
    .filter(({ release }) => isOutOfSupport(release, today))
    .map(
      ({ key, version, release }) =>
        `${key}: support of ${release!.minor} ended on ${release!.endOfSupport}, so ${version} no longer gets security fixes. ` +
        "Upgrade to a newer minor; docs/reference/versions.md lists them.",
    );
}

/** Facts of a host from the last run. */
export interface SeenHost {
  name: string;
  /** PRETTY_NAME of /etc/os-release. */
  os: string;
  cgroup: number;
  /** Version of containerd; empty if there was none. */
  containerd: string;
}

/**
 * A line for each host that probably cannot run the new versions, as it was when it was last checked. The run checks it again before
 * it changes any host.
 */
export function hostWarnings(
  seen: readonly SeenHost[],
  { bundle, kubernetesVersion, hostProfile }: ClusterConfig,
): string[] {
  const least = leastContainerd(kubernetesVersion);
  return seen.flatMap(({ name, os, cgroup, containerd }) => {
    const host = `${name} (${os}), when it was last checked,`;
    return [
      ...(cgroup === 1 && hostProfile.kubelet.failCgroupV1 !== false
        ? [
            `kubernetes.version: ${host} ran cgroup v1, on which kubelet 1.35 and newer do not start. Boot it with ` +
              "systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in a host profile.",
          ]
        : []),
      ...(bundle === undefined && /^\d/.test(containerd) && compareVersions(containerd, least) < 0
        ? [
            `kubernetes.version: ${host} had containerd ${containerd}, but ${kubernetesVersion} requires ${least} or newer. Upgrade ` +
              "containerd first, in a separate run: kubernetes.containerdVersion.",
          ]
        : []),
    ];
  });
}
