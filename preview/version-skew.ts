/** Which versions a running cluster may change to, for the preview. The hosts check again before they change anything. */
import { problemLine } from "../model/problem";
import { compareVersions, minorOf } from "../model/versions";

/** Versions and nodes of a cluster, from the outputs of its last run. */
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
 * A line for each change that is not possible in one run; none for a new cluster (`undefined`), nor for anything that the last run
 * did not record.
 */
export function upgradeProblems(running: RunningCluster | undefined, wanted: WantedCluster): string[] {
  if (running === undefined) return [];
  return [
    ...kubernetesProblems(running, wanted),
    ...ciliumProblems(running, wanted),
    ...togetherProblems(running, wanted),
    ...joinerProblems(running, wanted),
  ];
}

// https://kubernetes.io/releases/version-skew-policy: API servers are upgraded one minor at a time, and never downgraded.
function kubernetesProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes: at } = running;
  if (at === undefined) return [];
  if (compareVersions(wanted.kubernetes, at) < 0) {
    const wrong = `cannot downgrade from ${at} to ${wanted.kubernetes}`;
    return [problemLine({ path: "kubernetes.version", wrong, fix: `Set ${at} or newer.` })];
  }
  const next = minorOf(at) + 1;
  if (minorOf(wanted.kubernetes) > next) {
    const wrong = `cannot upgrade from ${at} to ${wanted.kubernetes}, because Kubernetes allows one minor version at a time`;
    return [problemLine({ path: "kubernetes.version", wrong, fix: `Upgrade to a 1.${next} version first.` })];
  }
  return [];
}

// docs.cilium.io, Upgrade Guide: upgrade and rollback are tested between consecutive minor releases only.
function ciliumProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { cilium: at } = running;
  if (at === undefined || Math.abs(minorOf(wanted.cilium) - minorOf(at)) <= 1) return [];
  const next = minorOf(at) + (minorOf(wanted.cilium) > minorOf(at) ? 1 : -1);
  const wrong = `cannot change from ${at} to ${wanted.cilium}, because Cilium supports one minor version at a time`;
  return [problemLine({ path: "cilium.version", wrong, fix: `Change to a 1.${next} version first.` })];
}

// Cilium's agents would restart while nodes are drained, and a failure could come from either change.
function togetherProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes, cilium } = running;
  return kubernetes === undefined ||
    cilium === undefined ||
    kubernetes === wanted.kubernetes ||
    cilium === wanted.cilium
    ? []
    : [
        problemLine({
          path: "cilium.version",
          wrong: `cannot change from ${cilium} to ${wanted.cilium} while Kubernetes changes from ${kubernetes} to ${wanted.kubernetes}`,
          fix: "Upgrade the two in separate runs.",
        }),
      ];
}

// A new node gets the new version at once, and a kubelet must not be newer than the API servers.
function joinerProblems(running: RunningCluster, wanted: WantedCluster): string[] {
  const { kubernetes: at, nodes } = running;
  if (at === undefined || nodes === undefined || compareVersions(wanted.kubernetes, at) <= 0) {
    return [];
  }
  return wanted.nodes.flatMap((name, i) =>
    nodes.includes(name)
      ? []
      : problemLine({
          path: `nodes[${i}].name`,
          got: name,
          wrong: `cannot join while the cluster is upgraded from Kubernetes ${at} to ${wanted.kubernetes}`,
          fix: "Add this node after the upgrade.",
        }),
  );
}

/**
 * A line for each risk of a change of the nodes.
 *
 * @param controlPlanes the names of those that stay.
 */
export function changeWarnings(running: RunningCluster | undefined, controlPlanes: readonly string[]): string[] {
  const before = running?.controlPlanes ?? [];
  const stay = before.filter((name) => controlPlanes.includes(name));
  const majority = Math.floor(before.length / 2) + 1;
  return stay.length >= majority || before.length === 0
    ? []
    : [
        `nodes: of the control planes ${before.join(", ")}, ${stay.length === 0 ? "none" : `only ${stay.join(", ")}`} would stay, but ` +
          `etcd needs ${majority} of them to remove the others. Remove or replace fewer in one run. If they are lost already, see ` +
          "docs/operate/disaster.md.",
      ];
}

/** The running cluster from the outputs `versions` and `nodes` of the last run; undefined if there was none. */
export function runningCluster(versions: unknown, nodes: unknown): RunningCluster | undefined {
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  const { kubernetes, cilium } = (versions ?? {}) as Record<string, unknown>;
  const list = Array.isArray(nodes) ? (nodes as { name?: unknown; role?: unknown }[]) : [];
  const named = list.filter(({ name }) => typeof name === "string") as { name: string; role?: unknown }[];
  const [kubernetesVersion, ciliumVersion] = [text(kubernetes), text(cilium)];
  if (kubernetesVersion === undefined && named.length === 0) return undefined;
  return {
    ...(kubernetesVersion !== undefined && { kubernetes: kubernetesVersion }),
    ...(ciliumVersion !== undefined && { cilium: ciliumVersion }),
    ...(named.length > 0 && {
      nodes: named.map(({ name }) => name),
      controlPlanes: named.filter(({ role }) => role === "control-plane").map(({ name }) => name),
    }),
  };
}
