/** All that is wrong, causes before what follows from them. */
import type { ClusterState } from "../state";
import { badCertificates, oldAuthorities } from "./certificates";
import { apiServers, endpointProblems } from "./endpoint";
import { etcdProblems } from "./etcd";
import { fullDisks, silentHosts, stopped, wrongClocks } from "./hosts";
import { nodeProblems, workloadProblems } from "./nodes";
import type { Problem } from "./problem";
import { badDevices } from "./tailnet";

/**
 * In this order: a full disk stops etcd, a lost device stops a member, and never the other way round.
 */
const kinds = [
  fullDisks,
  badDevices,
  badCertificates,
  silentHosts,
  etcdProblems,
  endpointProblems,
  stopped,
  apiServers,
  wrongClocks,
  nodeProblems,
  workloadProblems,
  oldAuthorities,
];

export function problemsOf(state: ClusterState): Problem[] {
  const found = kinds.flatMap((kind) => kind(state));
  const isNowhere = found.some(({ id }) => id === "endpoint-nowhere");
  // It has the stopped watches among its reasons.
  const all = found.filter(
    ({ id, what }) => !(isNowhere && id === "service-stopped" && /: tailkube-endpoint /.test(what)),
  );
  // Warnings last, each part in the order above.
  return [...all.filter(({ level }) => level === "error"), ...all.filter(({ level }) => level === "warning")];
}
