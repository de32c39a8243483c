/** The texts that run on hosts, by `bash -s` on stdin. Before the last line there are only definitions. */
import { scriptText } from "../components/hosts/script-text";
import { assignments, withRequired } from "../components/hosts/stages";
import type { ClusterAccess, Node } from "./stack";

/** Questions to a host: `status` or `support`. */
export function questionsScript(file: "status" | "support", cluster: ClusterAccess, node: Node): string {
  const { nodeNetwork, endpoint, apiServerPort } = cluster;
  return [
    ...assignments(file, {
      TK_ROLE: node.role,
      TK_NODE_IP: node.address,
      TK_API_PORT: `${apiServerPort}`,
      TK_ENDPOINT: endpoint.address,
      TK_ENDPOINT_PORT: `${endpoint.port}`,
      ...(endpoint.kind !== undefined && { TK_ENDPOINT_KIND: endpoint.kind }),
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
    ...assignments("snapshot", { TK_NODE: node.name, TK_STAGE: "etcd-snapshot", TK_LOCK: "folder" }),
    ...withRequired("command/snapshot.sh").map(scriptText),
    "main apply </dev/null",
    "",
  ].join("\n");
}
