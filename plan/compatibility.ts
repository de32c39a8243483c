/**
 * Which versions of Kubernetes, Cilium and containerd go together, as far as nobody has tested them or hosts may not run
 * them: warnings, for it may well work. What is known not to work is refused: `leastContainerd` in requirements.ts, and the
 * oldest minors in config/schema.ts.
 *
 * Sources: for Cilium the page "Kubernetes Compatibility" of each release's documentation
 * (Documentation/network/kubernetes/compatibility.rst in cilium/cilium), which says of versions that it does not list that
 * they depend on what Kubernetes itself keeps compatible; for containerd the table "Kubernetes support" of RELEASES.md in
 * containerd/containerd, and of its history for 1.31.
 */
import type { ClusterConfig } from "../config/types";
import { leastContainerd } from "./requirements";
import { compareVersions, minorOf } from "./upgrade";

/** First and last minor of Kubernetes that a minor of Cilium (1.x) is tested with, by Cilium. */
const ciliumTested: ReadonlyMap<number, readonly [number, number]> = new Map([
  [15, [26, 29]],
  [16, [27, 30]],
  [17, [29, 32]],
  [18, [30, 33]],
  [19, [31, 34]],
  [20, [33, 36]],
]);

/** The same by this program's own tests, on the lab's bundles (lab/artifacts). */
const triedHere: ReadonlyMap<number, readonly [number, number]> = new Map([[15, [35, 36]]]);

/** The oldest patch of each minor of containerd that containerd recommends for a minor of Kubernetes, newest first. */
const containerdRecommended: ReadonlyMap<number, readonly string[]> = new Map([
  [31, ["2.0.0", "1.7.20", "1.6.34"]],
  [32, ["2.1.0", "2.0.1", "1.7.24", "1.6.36"]],
  [33, ["2.1.0", "2.0.4", "1.7.24", "1.6.36"]],
  [34, ["2.1.3", "2.0.6", "1.7.28", "1.6.39"]],
  [35, ["2.2.0", "2.1.5", "1.7.28"]],
  [36, ["2.3.0", "2.2.0"]],
]);

const isWithin = (range: readonly [number, number] | undefined, minor: number) =>
  range !== undefined && range[0] <= minor && minor <= range[1];

/**
 * What nobody has tested, a line each. Nothing of a Kubernetes that is newer than all that is known here: that is said by
 * itself.
 *
 * @param newestKubernetes the newest minor that this program was tried with.
 */
export function untested(
  { bundle, kubernetesVersion, containerdVersion, cilium }: ClusterConfig,
  newestKubernetes: number,
): string[] {
  const kubernetes = minorOf(kubernetesVersion);
  if (kubernetes > newestKubernetes) {
    return [];
  }
  const found: string[] = [];
  const agent = minorOf(cilium.version);
  const tested = ciliumTested.get(agent);
  if (tested === undefined) {
    found.push(
      `ciliumVersion: ${cilium.version} is newer than 1.${Math.max(...ciliumTested.keys())}, the newest that is known here. Look at ` +
        `Cilium's list of Kubernetes versions for 1.${kubernetes}.`,
    );
  } else if (!isWithin(tested, kubernetes) && !isWithin(triedHere.get(agent), kubernetes)) {
    const fitting = [...ciliumTested].filter(([, range]) => isWithin(range, kubernetes)).map(([minor]) => `1.${minor}`);
    found.push(
      `ciliumVersion: ${cilium.version} with Kubernetes ${kubernetesVersion} is untested: Cilium tests 1.${agent} with 1.${tested[0]} to ` +
        `1.${tested[1]}. Tested with 1.${kubernetes}: ${fitting.join(", ")}.`,
    );
  }
  const recommended = containerdRecommended.get(kubernetes) ?? [];
  if (bundle === undefined && containerdVersion !== undefined && !isRecommended(containerdVersion, recommended)) {
    found.push(
      `containerdVersion: ${containerdVersion} with Kubernetes ${kubernetesVersion} is untested. containerd recommends ` +
        `${recommended.join(", ")} or newer patches of these.`,
    );
  }
  return found;
}

function isRecommended(version: string, recommended: readonly string[]): boolean {
  const branch = (of: string) => of.split(".").slice(0, 2).join(".");
  const floor = recommended.find((one) => branch(one) === branch(version));
  return floor === undefined
    ? compareVersions(version, recommended[0] ?? version) >= 0
    : compareVersions(version, floor) >= 0;
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
      ...(minorOf(kubernetesVersion) >= 35 && cgroup === 1 && hostProfile.kubelet.failCgroupV1 !== false
        ? [
            `kubernetesVersion: ${host} runs cgroup v1, with which kubelet 1.35 and newer do not start. Boot it with ` +
              "systemd.unified_cgroup_hierarchy=1, or set kubelet.failCgroupV1: false in a host profile.",
          ]
        : []),
      ...(bundle === undefined && /^\d/.test(containerd) && compareVersions(containerd, least) < 0
        ? [
            `kubernetesVersion: ${host} has containerd ${containerd}, and ${kubernetesVersion} wants ${least} or newer. Upgrade containerd ` +
              "first, in a run of its own: containerdVersion.",
          ]
        : []),
    ];
  });
}
