/** What becomes of the nodes' addresses: they are in etcd, in certificates and in every kubelet, so their network stays. */
import { refused } from "../model/problem";
import type { ClusterConfig } from "../model/config";

/**
 * A line if the nodes of the running cluster are in another network than the wanted one.
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
        refused(
          "nodeNetwork",
          wanted,
          `${has}, which the cluster's nodes have their addresses in`,
          `Set it to ${has}, or destroy the cluster first.`,
        ),
      ];
}
