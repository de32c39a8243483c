/** What a run changes of Kubernetes' own settings, compared with the last one. */
import { components } from "../components/kubernetes/settings/components";
import { isTiming, timingOf } from "../components/kubernetes/settings/etcd-timing";
import type { ClusterConfig, NodeConfig } from "../model/config";
import { listed } from "../model/messages";
import { problemLine } from "../model/problem";
import { kubeletOf, type LastRun, settingsOf } from "./last-run";

/** Changed keys of all nodes. A stack of an older program has none. */
function changedKeys(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) return [];
  const [was, now] = [last.kubernetesSettings ?? {}, settingsOf(config)];
  const keys = [...new Set([...Object.keys(was), ...Object.keys(now)])];
  return keys.filter((key) => was[key] !== now[key]);
}

/** Changed keys that concern a node that stays. */
export function settingsKeys(config: ClusterConfig, last: LastRun | undefined, node: NodeConfig): string[] {
  const member = last?.members.find(({ name }) => name === node.name);
  if (member === undefined) return [];
  const ofNode = member.kubelet !== kubeletOf(node) ? [`nodes[${config.nodes.indexOf(node)}].kubelet`] : [];
  return [
    ...changedKeys(config, last).filter(
      (key) => node.role === "control-plane" || ["kubernetes.kubelet", "kubernetes.featureGates"].includes(key),
    ),
    ...ofNode,
  ];
}

/** etcd's time-outs, if the config sets any; undefined if they are etcd's defaults. */
export function timingWords({ settings }: Pick<ClusterConfig, "settings">): string | undefined {
  const timing = settings?.etcd.extraArgs.some(isTiming) === true ? timingOf(settings) : undefined;
  return timing && `heartbeat ${timing.heartbeat} ms, election time-out ${timing.election} ms`;
}

/** What changed keys restart on a node. On control planes, the API server restarts with any of them. */
export function settingsChange(
  config: Pick<ClusterConfig, "settings">,
  keys: readonly string[],
  node: NodeConfig,
): { does: string; disturbs?: string } {
  const isPlane = node.role === "control-plane";
  const gates = keys.includes("kubernetes.featureGates");
  const kubelet = gates || keys.some((key) => key.endsWith(".kubelet"));
  const restarted = [
    ...(kubelet ? ["its kubelet"] : []),
    ...components
      .filter(
        ({ key }) =>
          isPlane && (key === "apiServer" || keys.includes(`kubernetes.${key}`) || (gates && key !== "etcd")),
      )
      .map(({ words }) => words),
  ];
  const timing = keys.includes("kubernetes.etcd") ? timingWords(config) : undefined;
  return {
    does: `restarts ${listed(restarted)} because of ${listed(keys)}${timing === undefined ? "" : ` (etcd: ${timing})`}, and puts the former settings back if one does not come up`,
    ...(isPlane && { disturbs: "clients of its API server, which reconnect to another control plane if there is one" }),
  };
}

/** The keys of all nodes. */
export function allSettingsKeys(config: ClusterConfig, last: LastRun | undefined): string[] {
  return [...new Set(config.nodes.flatMap((node) => settingsKeys(config, last, node)))];
}

/** A failed change is put back, which must not bring back the programs of another version. */
export function settingsProblems(config: ClusterConfig, last: LastRun): string[] {
  const keys = allSettingsKeys(config, last);
  return last.kubernetes === undefined || last.kubernetes === config.kubernetesVersion || keys.length === 0
    ? []
    : [
        problemLine({
          path: "kubernetes.version",
          got: config.kubernetesVersion,
          wrong: `cannot change in the same run as ${listed(keys)}`,
          fix: "Make the two changes in separate runs; remove first what the new version does not have.",
        }),
      ];
}
