/** Asks all hosts and the API, in parallel. */
import { type Answers, answersIn, type Asked } from "../answers";
import { get } from "../api";
import { questionsScript } from "../host-script";
import { onAll } from "../parallel";
import { onHost, rootCommand, whyNoAnswer } from "../reach";
import type { ClusterAccess, Node } from "../stack";
import { apiNodes, hostFacts } from "./facts";
import type { ClusterState } from "./state";

/** Time limits of a host's script, and of its connection, in seconds. */
const scriptSeconds = { status: 30, support: 60 };

/** One host's answers to one of the lists of questions. */
export async function askHost(file: "status" | "support", cluster: ClusterAccess, node: Node): Promise<Asked<Answers>> {
  const seconds = scriptSeconds[file];
  const ran = await onHost(node, {
    command: rootCommand(node, `timeout --kill-after=5 ${seconds} bash -s`),
    input: questionsScript(file, cluster, node),
    seconds: seconds + 25,
  });
  const answers = answersIn(ran.stdout.toString());
  return answers === undefined ? { none: whyNoAnswer(ran) } : { value: answers };
}

export async function gather(cluster: ClusterAccess): Promise<ClusterState> {
  const begun = new Date();
  const isTailnet = cluster.nodeNetwork === "tailnet";
  const hasVip = cluster.endpoint.kind === "vip";
  const [nodes, direct, endpoint] = await Promise.all([
    onAll(cluster.nodes, async (node) => {
      const answers = await askHost("status", cluster, node);
      const isControlPlane = node.role === "control-plane";
      const of = { isControlPlane, isTailnet, hasVip: hasVip && isControlPlane };
      return {
        name: node.name,
        role: node.role,
        address: node.address,
        user: node.user,
        where: `${node.host} port ${node.port}`,
        facts: "none" in answers ? answers : { value: hostFacts(answers.value, of) },
      };
    }),
    get(cluster.directKubeconfig, "/api/v1/nodes"),
    get(cluster.kubeconfig, "/readyz"),
  ]);
  const { clusterName, nodeNetwork, kubernetesVersion } = cluster;
  return {
    name: clusterName,
    nodeNetwork,
    endpoint: cluster.endpoint,
    kubernetesVersion,
    begun,
    ended: new Date(),
    nodes,
    here: { nodes: "none" in direct ? direct : { value: apiNodes(direct.value) }, endpoint },
  };
}
