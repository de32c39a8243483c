/** The status as data. What is not known is null, never false. */
import { type Asked, isKnown, valueOf } from "../answers";
import { authorities, certificateName } from "./problems/certificates";
import { apiServer } from "./problems/endpoint";
import type { Problem } from "./problems/problem";
import {
  type ClusterState,
  deviceOf,
  endpointState,
  etcd,
  type NodeState,
  reached,
  readiness,
  workloads,
} from "./state";

const known = <T>(asked: Asked<T> | undefined): T | null => (asked === undefined ? null : (valueOf(asked) ?? null));

export function statusJson(state: ClusterState, problems: readonly Problem[]) {
  return {
    cluster: state.name,
    asked: state.ended.toISOString(),
    ok: problems.length === 0,
    problems,
    nodes: state.nodes.map((node) => nodeJson(state, node)),
    etcd:
      known(etcd(state))?.map(({ id, name, node, health, why, isLeader, isLearner, status }) => ({
        id,
        name,
        node: node ?? null,
        health,
        ...(health !== "healthy" && { why }),
        isLeader,
        isLearner,
        bytes: status?.bytes ?? null,
      })) ?? null,
    endpoint: { ...state.endpoint, ...endpointState(state), fromHere: valueOf(state.here.endpoint) === "ok" },
    authorities: authorities(state).map(({ file, expires }) => ({
      name: certificateName(file),
      expires: expires.toISOString(),
    })),
    workloads: known(workloads(state)),
  };
}

function nodeJson(state: ClusterState, node: NodeState) {
  const { ready, why } = readiness(state, node.name);
  const { own, peer } = deviceOf(state, node);
  const device = own?.self ?? peer;
  const facts = valueOf(node.facts);
  const answered = reached(node);
  return {
    name: node.name,
    role: node.role,
    address: node.address,
    ready: { yes: true, no: false, "no answer": null }[ready],
    ...(ready !== "yes" && { why }),
    ssh: isKnown(node.facts) ? "yes" : node.facts.none,
    kubelet: known(facts?.kubelet),
    containerd: known(facts?.containerd),
    kernel: known(facts?.kernel),
    tailscale: known(facts?.tailnet)?.version ?? null,
    device:
      device === undefined
        ? null
        : {
            state: own?.state ?? null,
            expired: device.expired || peer?.expired === true,
            keyExpires: device.keyExpires?.toISOString() ?? null,
          },
    disks: known(facts?.disks),
    certificates:
      known(facts?.certificates)
        ?.filter(({ isAuthority }) => !isAuthority)
        .map(({ file, expires }) => ({ file, expires: expires.toISOString() })) ?? null,
    ...(answered?.known.controlPlane !== undefined && {
      apiServer: apiServer(answered),
      snapshots:
        known(answered.known.controlPlane.snapshots)?.map(({ file, made, bytes }) => ({
          file,
          made: made.toISOString(),
          bytes,
        })) ?? null,
    }),
  };
}
