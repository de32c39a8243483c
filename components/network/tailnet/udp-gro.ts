/** UDP GRO forwarding on the NICs of the hosts' default routes. */
import type { ClusterConfig } from "../../../model/config";
import { scriptText } from "../../hosts/script-text";

/** Whether a cluster has it. */
export const hasUdpGro = ({ nodeNetwork, tailnet }: Pick<ClusterConfig, "nodeNetwork" | "tailnet">): boolean =>
  nodeNetwork === "tailnet" && tailnet.udpGroForwarding === true;

/** What host/lib/network/udp-gro-unit.sh needs; nothing if the cluster does not have it. */
export function udpGroVariables(config: Pick<ClusterConfig, "nodeNetwork" | "tailnet">): Record<string, string> {
  return hasUdpGro(config) ? { TK_UDP_GRO: "on", TK_HOST_UDP_GRO: scriptText("installed/udp-gro.sh") } : {};
}
