/** What a run changes for Services of type LoadBalancer, compared with the last one. */
import type { ClusterConfig, NodeConfig } from "../model/config";
import { servingNodes } from "../model/nodes";
import type { LastRun } from "./last-run";
import type { Step } from "./plan";

type Words = Pick<Step, "does" | "disturbs">;

/** The addresses that a node of the last run advertised to the tailnet; undefined if it took no traffic. */
function servedBefore(last: LastRun | undefined, name: string): string | undefined {
  const hadWorkers = last?.members.some(({ role }) => role === "worker");
  const member = last?.members.find((one) => one.name === name);
  return member !== undefined && (!hadWorkers || member.role === "worker") ? last?.loadBalancer : undefined;
}

const served = ({ loadBalancer, nodes, nodeNetwork }: ClusterConfig, name: string) =>
  nodeNetwork === "tailnet" && servingNodes(nodes).some((node) => node.name === name) ? loadBalancer?.cidr : undefined;

/** What changes on a node that stays. */
export function servingChange(config: ClusterConfig, last: LastRun | undefined, name: string): Words | undefined {
  const [was, now] = [config.nodeNetwork === "tailnet" ? servedBefore(last, name) : undefined, served(config, name)];
  if (was === now) return undefined;
  if (was === undefined)
    return { does: `advertises ${now} for LoadBalancer services while its kubelet and Cilium are healthy` };
  return {
    does:
      now === undefined ? `stops advertising ${was}` : `advertises ${now} for LoadBalancer services instead of ${was}`,
    disturbs: "connections to LoadBalancer services through it",
  };
}

/** What a new node does beside joining, as the end of a sentence. */
export function servingWords(config: ClusterConfig, { name }: NodeConfig): string {
  const now = served(config, name);
  return now === undefined ? "" : `, and advertises ${now} for LoadBalancer services`;
}

/** What finalize does. */
export function poolChange({ loadBalancer }: ClusterConfig, last: LastRun | undefined): Words | undefined {
  const [was, now] = [last?.loadBalancer, loadBalancer?.cidr];
  if (was === now) return undefined;
  if (now === undefined)
    return {
      does: `the pool ${was} for LoadBalancer services is deleted`,
      disturbs: "LoadBalancer services, which lose their addresses",
    };
  return was === undefined
    ? { does: `LoadBalancer services get addresses of ${now}` }
    : {
        does: `LoadBalancer services get addresses of ${now} instead of ${was}`,
        disturbs: "LoadBalancer services, whose addresses change",
      };
}
