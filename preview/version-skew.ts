/** Which versions a running cluster may go to, for the preview. The hosts ask again, before they change anything. */
import { refused } from "../model/problem";
import { compareVersions, minorOf } from "../model/versions";

/** What a cluster is at, by the outputs of its last run. */
export interface RunningCluster {
  /** Without the `v`, as all versions here. */
  kubernetes?: string;
  cilium?: string;
  /** Names of its nodes. */
  nodes?: readonly string[];
  /** Names of its control planes. */
  controlPlanes?: readonly string[];
}

export interface WantedCluster {
  kubernetes: string;
  cilium: string;
  nodes: readonly string[];
}

/**
 * A line for each change that is not possible in one run; none for a cluster that is still to be made (`undefined`), nor
 * for what the last run did not tell.
 */
export function upgradeProblems(running: RunningCluster | undefined, wanted: WantedCluster): string[] {
  if (running === undefined) {
    return [];
  }
  return [
    ...kubernetesProblems(running, wanted),
    ...ciliumProblems(running, wanted),
    ...togetherProblems(running, wanted),
    ...joinerProblems(running, wanted),
  ];
}

// https://kubernetes.io/releases/version-skew-policy: API servers go one minor at a time, and never back.
function kubernetesProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes: at } = running;
  if (at === undefined) {
    return [];
  }
  if (compareVersions(wanted.kubernetes, at) < 0) {
    const allowed = `${at}, which the cluster is at, or newer: Kubernetes knows no downgrade`;
    return [refused("kubernetes.version", wanted.kubernetes, allowed, `Set ${at} or newer.`)];
  }
  const next = minorOf(at) + 1;
  if (minorOf(wanted.kubernetes) > next) {
    const allowed = `${at}, which the cluster is at, to any 1.${next}: Kubernetes goes one minor at a time`;
    return [refused("kubernetes.version", wanted.kubernetes, allowed, `Upgrade to a 1.${next} first.`)];
  }
  return [];
}

// docs.cilium.io, Upgrade Guide: upgrade and rollback are tested between consecutive minor releases only.
function ciliumProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { cilium: at } = running;
  if (at === undefined || Math.abs(minorOf(wanted.cilium) - minorOf(at)) <= 1) {
    return [];
  }
  const next = minorOf(at) + (minorOf(wanted.cilium) > minorOf(at) ? 1 : -1);
  const allowed = `a version at most one minor away from ${at}, which the cluster is at`;
  return [refused("cilium.version", wanted.cilium, allowed, `Go to a 1.${next} first.`)];
}

// Cilium's agents would restart while nodes are drained, and nobody could tell which of the two broke something.
function togetherProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes, cilium } = running;
  return kubernetes === undefined ||
    cilium === undefined ||
    kubernetes === wanted.kubernetes ||
    cilium === wanted.cilium
    ? []
    : [
        refused(
          "cilium.version",
          wanted.cilium,
          `${cilium}, which the cluster is at, while Kubernetes goes from ${kubernetes} to ${wanted.kubernetes}`,
          "Upgrade one of the two in a run of its own.",
        ),
      ];
}

// A new node gets the new version at once, and a kubelet must not be ahead of the API servers that it joins.
function joinerProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes: at, nodes } = running;
  if (at === undefined || nodes === undefined || compareVersions(wanted.kubernetes, at) <= 0) {
    return [];
  }
  return wanted.nodes.flatMap((name, i) =>
    nodes.includes(name)
      ? []
      : refused(
          `nodes[${i}].name`,
          name,
          `the nodes that the cluster has, while it goes from Kubernetes ${at} to ${wanted.kubernetes}`,
          "Add this node after the upgrade.",
        ),
  );
}

/**
 * What a change of the nodes risks, a line each.
 *
 * @param controlPlanes the names of the wanted ones.
 */
export function changeWarnings(running: RunningCluster | undefined, controlPlanes: readonly string[]): string[] {
  const before = running?.controlPlanes ?? [];
  const stay = before.filter((name) => controlPlanes.includes(name));
  const majority = Math.floor(before.length / 2) + 1;
  return stay.length >= majority || before.length === 0
    ? []
    : [
        `nodes: of the control planes ${before.join(", ")} ${stay.length === 0 ? "none" : `only ${stay.join(", ")}`} would stay, and ` +
          `etcd needs ${majority} of them to let the others go. Remove or replace fewer in one run; if they are lost already, ` +
          "docs/operate/disaster.md says how to go on.",
      ];
}

/** The running cluster by the outputs `versions` and `nodes` of the last run; undefined where there was none. */
export function runningCluster(versions: unknown, nodes: unknown): RunningCluster | undefined {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  const { kubernetes, cilium } = (versions ?? {}) as Record<string, unknown>;
  const list = Array.isArray(nodes) ? (nodes as { name?: unknown; role?: unknown }[]) : [];
  const named = list.filter(({ name }) => typeof name === "string") as { name: string; role?: unknown }[];
  const [kubernetesVersion, ciliumVersion] = [text(kubernetes), text(cilium)];
  if (kubernetesVersion === undefined && named.length === 0) {
    return undefined;
  }
  return {
    ...(kubernetesVersion !== undefined && { kubernetes: kubernetesVersion }),
    ...(ciliumVersion !== undefined && { cilium: ciliumVersion }),
    ...(named.length > 0 && {
      nodes: named.map(({ name }) => name),
      controlPlanes: named.filter(({ role }) => role === "control-plane").map(({ name }) => name),
    }),
  };
}
