/** The nodes' addresses are in etcd, in certificates and in every kubelet, so their network cannot change. */
import { problemLine } from "../model/problem";
import type { ClusterConfig } from "../model/config";

/**
 * A line if the nodes of the running cluster are in another network than the declared one.
 *
 * @param nodes the output `nodes` of the last run: a node in a tailnet has the ID of its device.
 */
export function nodeNetworkProblems(nodes: unknown, wanted: ClusterConfig["nodeNetwork"]): string[] {
  const ids = (Array.isArray(nodes) ? (nodes as { deviceId?: unknown }[]) : [])
    .map(({ deviceId }) => deviceId)
    .filter((id) => typeof id === "string");
  const has = ids.some((id) => id !== "") ? "tailnet" : "lan";
  return ids.length === 0 || has === wanted
    ? []
    : [
        problemLine({
          path: "nodeNetwork",
          got: wanted,
          wrong: "cannot change in a running cluster",
          allowed: has,
          fix: "Set that again, or destroy the cluster first.",
        }),
      ];
}
