/**
 * Which versions of Kubernetes, Cilium and containerd are untested together or out of their makers' support, and what hosts
 * may not be able to run: warnings, for it may well work. What is known not to work is refused: `leastContainerd` in
 * requirements.ts, and the oldest minors in model/releases.ts and config/schema/software.ts. What is known at all is in model/releases.json.
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
import { leastContainerd } from "../hosts/requirements";

type Versions = Pick<ClusterConfig, "bundle" | "kubernetesVersion" | "containerdVersion" | "cilium">;

/**
 * What is not known to have been tested, a line each. Nothing of a Kubernetes that is newer than all that the catalogue has:
 * that is a warning of its own.
 */
export function untested({ bundle, kubernetesVersion, containerdVersion, cilium }: Versions): string[] {
  const kubernetes = minorOf(kubernetesVersion);
  if (kubernetes > newestKubernetesMinor) {
    return [];
  }
  const found: string[] = [];
  const agent = ciliumRelease(cilium.version);
  if (agent === undefined) {
    found.push(
      `cilium.version: ${cilium.version} is newer than ${ciliumReleases[0]!.minor}, the newest that is known here. Look at ` +
        `Cilium's list of Kubernetes versions for 1.${kubernetes}.`,
    );
  } else if (!isTestedTogether(agent, kubernetesVersion)) {
    const fitting = ciliumReleases.filter((one) => isTestedTogether(one, kubernetesVersion)).map(({ minor }) => minor);
    found.push(
      `cilium.version: ${cilium.version} with Kubernetes ${kubernetesVersion} is untested: Cilium tests ${agent.minor} with ` +
        `${agent.kubernetes[0]} to ${agent.kubernetes[1]}. Tested with 1.${kubernetes}: ${fitting.join(", ") || "none yet"}.`,
    );
  }
  if (
    bundle === undefined &&
    containerdVersion !== undefined &&
    !isContainerdTested(containerdVersion, kubernetesVersion)
  ) {
    found.push(
      `kubernetes.containerdVersion: ${containerdVersion} with Kubernetes ${kubernetesVersion} is untested. containerd recommends ` +
        `${kubernetesRelease(kubernetesVersion)!.containerdTested.join(", ")} or newer patches of these.`,
    );
  }
  return found;
}

/**
 * What its makers no longer mend, a line each.
 *
 * @param today YYYY-MM-DD.
 */
export function outOfSupport(
  { bundle, kubernetesVersion, containerdVersion, cilium }: Versions,
  today: string,
): string[] {
  const wanted = [
    { key: "kubernetes.version", version: kubernetesVersion, release: kubernetesRelease(kubernetesVersion) },
    { key: "cilium.version", version: cilium.version, release: ciliumRelease(cilium.version) },
    ...(bundle === undefined && containerdVersion !== undefined
      ? [
          {
            key: "kubernetes.containerdVersion",
            version: containerdVersion,
            release: containerdRelease(containerdVersion),
          },
        ]
      : []),
  ];
  return wanted
    .filter(({ release }) => isOutOfSupport(release, today))
    .map(
      ({ key, version, release }) =>
        `${key}: support of ${release!.minor} ended on ${release!.endOfSupport}, so ${version} gets no more security fixes. ` +
        "Upgrade to a newer minor; docs/reference/versions.md lists them.",
    );
}

/** What the last run has seen of a host. */
export interface SeenHost {
  name: string;
  /** PRETTY_NAME of /etc/os-release. */
  os: string;
  cgroup: number;
  /** Version of containerd; empty where there was none. */
  containerd: string;
}

/**
 * What hosts may not be able to run, as they were when they were looked at last, a line each. The hosts say it for certain,
 * before any of them is changed.
 */
export function hostWarnings(
  seen: readonly SeenHost[],
  { bundle, kubernetesVersion, hostProfile }: ClusterConfig,
): string[] {
  const least = leastContainerd(kubernetesVersion);
  return seen.flatMap(({ name, os, cgroup, containerd }) => {
    const host = `${name} (${os}), as it was when it was looked at last,`;
    return [
      ...(cgroup === 1 && hostProfile.kubelet.failCgroupV1 !== false
        ? [
            `kubernetes.version: ${host} runs cgroup v1, with which kubelet 1.35 and newer do not start. Boot it with ` +
              "systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in a host profile.",
          ]
        : []),
      ...(bundle === undefined && /^\d/.test(containerd) && compareVersions(containerd, least) < 0
        ? [
            `kubernetes.version: ${host} has containerd ${containerd}, and ${kubernetesVersion} wants ${least} or newer. Upgrade containerd ` +
              "first, in a run of its own: kubernetes.containerdVersion.",
          ]
        : []),
    ];
  });
}
