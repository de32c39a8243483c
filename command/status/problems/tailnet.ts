/** Problems of the nodes' devices in the tailnet. */
import { isKnown } from "../../answers";
import { type ClusterState, deviceOf, type NodeState } from "../state";
import { expiry, inDays, onNode, type Problem } from "./problem";

const soonDays = 14;

export function badDevices(state: ClusterState): Problem[] {
  if (state.nodeNetwork !== "tailnet") return [];
  return state.nodes.flatMap((node) => deviceProblem(state, node) ?? []);
}

function deviceProblem(state: ClusterState, node: NodeState): Problem | undefined {
  const now = state.ended;
  const { own, peer } = deviceOf(state, node);
  const keyExpires = own?.self.keyExpires ?? peer?.keyExpires;
  const expired =
    own?.self.expired === true || peer?.expired === true || (keyExpires !== undefined && keyExpires <= now);
  const problem = { node: node.name, evidence: own === undefined ? [] : [`tailscaled is in the state ${own.state}`] };
  if (expired) {
    return {
      ...problem,
      id: "device-expired",
      level: "error",
      what: `${node.name}: its device in the tailnet has expired${keyExpires === undefined ? "" : `: the key ${expiry(keyExpires, now)}`}`,
      evidence: own === undefined ? ["another node says so; the host itself was not asked"] : problem.evidence,
      cure: [
        `in the tailnet's admin console, extend the key of the device ${node.name}, then disable its key expiry (headscale nodes expire --disable)`,
        `if it stays logged out, log it in again: ${onNode(node, "tailscale up")}`,
      ],
    };
  }
  if (own !== undefined && own.state !== "Running" && own.state !== "Starting") {
    return {
      ...problem,
      id: "device-logged-out",
      level: "error",
      what: `${node.name}: it is not in the tailnet: tailscaled is in the state ${own.state}`,
      evidence: [],
      cure:
        own.state === "NeedsMachineAuth"
          ? [`approve the device ${node.name} in the tailnet's admin console`]
          : [
              `log it in again: ${onNode(node, "tailscale up")}`,
              `its reasons: ${onNode(node, "journalctl -u tailscaled -n 50 --no-pager")}`,
            ],
    };
  }
  if (keyExpires !== undefined && keyExpires <= inDays(now, soonDays)) {
    return {
      ...problem,
      id: "device-expires",
      level: "warning",
      what: `${node.name}: the key of its device in the tailnet ${expiry(keyExpires, now)}, and the node with it`,
      cure: [
        `disable key expiry for the device ${node.name} in the tailnet's admin console (headscale nodes expire --disable)`,
      ],
    };
  }
  if (isKnown(node.facts) && own?.state === "Running" && !own.self.online) {
    return {
      ...problem,
      id: "device-offline",
      level: "error",
      what: `${node.name}: its device has no connection to the tailnet's coordination server`,
      cure: [`what is in the way: ${onNode(node, "tailscale netcheck")}, and ${onNode(node, "tailscale status")}`],
    };
  }
  return undefined;
}
