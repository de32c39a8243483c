/** Problems of nodes and of the cluster's own workloads, as the API has them. */
import { isKnown, valueOf } from "../../answers";
import { apiNodes, type ClusterState, type NodeState, workloads } from "../state";
import { onNode, type Problem } from "./problem";

export function nodeProblems(state: ClusterState): Problem[] {
  const all = apiNodes(state);
  if (!isKnown(all)) {
    return [
      {
        id: "api-no-answer",
        level: "error",
        what: `no API server answers, so nothing is known about Ready nodes: ${all.none}`,
        evidence: isKnown(state.here.endpoint) ? [] : [`from this machine: ${state.here.endpoint.none}`],
        cure: ["fix the problems above; if there are none, the control planes cannot be reached from here"],
      },
    ];
  }
  return state.nodes.flatMap((node) => {
    const found = all.value.find(({ name }) => name === node.name);
    if (found === undefined) {
      return [
        {
          id: "node-missing",
          level: "error" as const,
          node: node.name,
          what: `${node.name}: the stack has this node, and the cluster has not`,
          evidence: [],
          cure: ["pulumi up; if it changes nothing, change host.identity of the node, and run it again"],
        },
      ];
    }
    return [...notReady(node, found), ...pressure(node, found), ...otherVersion(state, node, found)];
  });
}

type ApiNode = Extract<ReturnType<typeof apiNodes>, { value: unknown }>["value"][number];

function notReady(node: NodeState, { ready, why }: ApiNode): Problem[] {
  if (ready === "True") return [];
  const hasAnswer = ready === "False";
  return [
    {
      id: hasAnswer ? "node-not-ready" : "node-no-answer",
      level: "error",
      node: node.name,
      what: hasAnswer
        ? `${node.name}: the node is not Ready: ${why.slice(0, 160)}`
        : `${node.name}: its kubelet no longer reports to the API`,
      evidence: hasAnswer || why === "" ? [] : [why],
      cure: isKnown(node.facts)
        ? [`the kubelet's reasons: ${onNode(node, "journalctl -u kubelet -n 50 --no-pager")}`]
        : [`start the host ${node.name}, or make it reachable`],
    },
  ];
}

function pressure(node: NodeState, { pressures }: ApiNode): Problem[] {
  return pressures.map((condition) => ({
    id: "node-condition",
    level: "warning",
    node: node.name,
    what: `${node.name}: the node reports ${condition}`,
    evidence: [],
    cure: [`what it says: kubectl describe node ${node.name}`],
  }));
}

function otherVersion({ kubernetesVersion }: ClusterState, node: NodeState, { kubelet }: ApiNode): Problem[] {
  if (kubelet === "" || kubelet === kubernetesVersion) return [];
  return [
    {
      id: "version-differs",
      level: "warning",
      node: node.name,
      what: `${node.name}: its kubelet is ${kubelet}, and the stack's last run set ${kubernetesVersion}`,
      evidence: [],
      cure: ["pulumi up finishes an upgrade"],
    },
  ];
}

export function workloadProblems(state: ClusterState): Problem[] {
  // Without an API there is another problem.
  const all = valueOf(workloads(state)) ?? [];
  return all
    .filter(({ wanted, ready }) => ready < wanted)
    .map(({ name, wanted, ready }) => ({
      id: "workload-not-ready",
      level: ready === 0 ? ("error" as const) : ("warning" as const),
      what: `kube-system: ${ready} of ${wanted} pods of ${name} are ready`,
      evidence: [],
      cure: [`which and why: kubectl -n kube-system get pods -o wide, and kubectl -n kube-system describe ${name}`],
    }));
}
