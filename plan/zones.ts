/** How nodes are spread over zones, so that the loss of one takes as few of a role as can be. */
import type { NodeConfig } from "../config/schema";

/** For each node the position of its zone, from 0 to `zones - 1`: those of a role take turns, in the order of the list. */
export function spread(nodes: readonly Pick<NodeConfig, "role">[], zones: number): number[] {
  const next = { "control-plane": 0, worker: 0 };
  return nodes.map(({ role }) => next[role]++ % zones);
}
