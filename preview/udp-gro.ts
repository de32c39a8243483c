/** What a run changes on the NICs of the hosts' default routes, compared with the last one. */
import { hasUdpGro } from "../components/network/tailnet/udp-gro";
import type { ClusterConfig } from "../model/config";
import type { LastRun } from "./last-run";
import type { Step } from "./plan";

/** What a new node does beside joining the tailnet. */
export const udpGroWords = (config: ClusterConfig): string =>
  hasUdpGro(config) ? ", with UDP GRO forwarding on the NICs of its default routes" : "";

/** What changes on a node that stays; undefined if nothing does. */
export function udpGroChange(config: ClusterConfig, last: LastRun | undefined): Pick<Step, "does"> | undefined {
  const now = hasUdpGro(config);
  if (now === (last?.udpGro ?? false)) return undefined;
  return {
    does: now
      ? "turns UDP GRO forwarding on for the NICs of its default routes"
      : "sets the NICs of its default routes back to what they were before UDP GRO forwarding",
  };
}
