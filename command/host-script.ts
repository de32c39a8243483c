/** The texts that run on hosts, by `bash -s` on stdin. Before the last line there are only definitions. */
import { scriptText, shellQuote } from "../components/hosts/script-text";
import { withRequired } from "../components/hosts/stages";
import type { ClusterAccess, Node } from "./stack";

const assigned = (variables: Readonly<Record<string, string>>) =>
  Object.entries(variables).map(([name, value]) => `${name}=${shellQuote(value)}`);

/** Questions to a host: `status` or `support`. */
export function questionsScript(file: "status" | "support", cluster: ClusterAccess, node: Node): string {
  const { nodeNetwork, endpoint, apiServerPort } = cluster;
  return [
    ...assigned({
      TK_ROLE: node.role,
      TK_NODE_IP: node.address,
      TK_API_PORT: `${apiServerPort}`,
      TK_ENDPOINT: endpoint.address,
      TK_ENDPOINT_PORT: `${endpoint.port}`,
      TK_NODE_NETWORK: nodeNetwork,
    }),
    scriptText("command/questions.sh"),
    scriptText(`command/${file}.sh`),
    "main </dev/null",
    "",
  ].join("\n");
}

/** A new snapshot of etcd on stdout. */
export function snapshotScript(node: Node): string {
  return [
    ...assigned({ TK_NODE: node.name, TK_STAGE: "etcd-snapshot", TK_LOCK: "folder" }),
    ...withRequired("command/snapshot.sh").map(scriptText),
    "main apply </dev/null",
    "",
  ].join("\n");
}
