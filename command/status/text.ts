/** The status as text: what is wrong first, then tables. */
import { controlPlanes } from "../../model/nodes";
import { type Asked, isKnown, valueOf } from "../answers";
import { table } from "../table";
import { day, minute } from "../times";
import { authorities, certificateName, certificatesOf, firstToExpire } from "./problems/certificates";
import { apiServer } from "./problems/endpoint";
import { percent } from "./problems/hosts";
import { expiry, type Problem } from "./problems/problem";
import {
  type ClusterState,
  deviceOf,
  endpointState,
  etcd,
  type NodeState,
  type Reached,
  reached,
  readiness,
  workloads,
} from "./state";

const noAnswer = "no answer";
const none = "-";

export function statusText(state: ClusterState, problems: readonly Problem[]): string {
  return [
    ...summary(state, problems),
    "",
    ...nodeTable(state),
    "",
    ...planeTable(state),
    "",
    ...endpointLines(state),
    ...authorityLines(state),
    ...workloadLines(state),
    "",
  ].join("\n");
}

function summary({ name }: ClusterState, problems: readonly Problem[]): string[] {
  if (problems.length === 0) return [`${name}: all is well`];
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems, causes first`;
  return [`${name}: ${count}`, ...problems.flatMap((problem, i) => ["", ...problemLines(problem, i + 1)])];
}

function problemLines({ level, what, evidence, cure }: Problem, number: number): string[] {
  const label = level === "warning" ? "warning: " : "";
  return [
    `${number}. ${label}${what}`,
    ...evidence.map((line) => `     because: ${line}`),
    ...cure.map((line) => `     do: ${line}`),
  ];
}

function nodeTable(state: ClusterState): string[] {
  const heading = [
    "NODE",
    "ROLE",
    "READY",
    "SSH",
    "KUBELET",
    "CONTAINERD",
    "TAILSCALE",
    "KERNEL",
    "DEVICE KEY",
    "FULLEST DISK",
  ];
  return table([heading, ...state.nodes.map((node) => nodeRow(state, node))]);
}

function nodeRow(state: ClusterState, node: NodeState): string[] {
  const { ready } = readiness(state, node.name);
  const known = valueOf(node.facts);
  const said = (asked: Asked<string> | undefined) => (asked === undefined ? none : (valueOf(asked) ?? noAnswer));
  const tailnet = known?.tailnet === undefined ? undefined : valueOf(known.tailnet);
  return [
    node.name,
    node.role,
    ready,
    known === undefined ? noAnswer : "yes",
    said(known?.kubelet),
    said(known?.containerd),
    state.nodeNetwork === "lan" || known === undefined ? none : (tailnet?.version ?? noAnswer),
    said(known?.kernel),
    state.nodeNetwork === "lan" ? none : deviceKey(state, node),
    known === undefined ? none : fullest(known),
  ];
}

function deviceKey(state: ClusterState, node: NodeState): string {
  const { own, peer } = deviceOf(state, node);
  const device = own?.self ?? peer;
  if (device === undefined) return noAnswer;
  if (device.expired || peer?.expired === true) return "expired";
  if (own !== undefined && own.state !== "Running") return own.state;
  return device.keyExpires === undefined ? "no expiry" : day(device.keyExpires);
}

function fullest({ disks }: Reached["known"]): string {
  if (!isKnown(disks)) return noAnswer;
  const worst = [...disks.value].sort((a, b) => Math.max(b.used, b.filesUsed) - Math.max(a.used, a.filesUsed))[0];
  return worst === undefined ? none : `${percent(Math.max(worst.used, worst.filesUsed))} ${worst.path}`;
}

function planeTable(state: ClusterState): string[] {
  const heading = [
    "CONTROL PLANE",
    "API SERVER",
    "ETCD MEMBER",
    "DATABASE",
    "ENDPOINT",
    "FIRST CERTIFICATE",
    "LAST SNAPSHOT",
  ];
  return table([heading, ...controlPlanes(state.nodes).map((node) => planeRow(state, node))]);
}

function planeRow(state: ClusterState, node: NodeState): string[] {
  const answered = reached(node);
  const members = valueOf(etcd(state));
  const member = members?.find((one) => one.node === node.name);
  const leader = member?.isLeader === true ? ", leader" : "";
  const learner = member?.isLearner === true ? ", learner" : "";
  return [
    node.name,
    answered === undefined ? noAnswer : apiServer(answered).isReady ? "ready" : "not ready",
    members === undefined ? noAnswer : member === undefined ? "not a member" : `${member.health}${leader}${learner}`,
    member?.status === undefined ? none : `${Math.round(member.status.bytes / 1e6)} MB`,
    endpointCell(state, node),
    answered === undefined ? noAnswer : firstCertificate(state, answered),
    answered === undefined ? noAnswer : lastSnapshot(answered),
  ];
}

function endpointCell(state: ClusterState, { name, facts }: NodeState): string {
  if (state.nodeNetwork === "lan" && state.endpoint.kind !== "vip") return none;
  if (!isKnown(facts)) return noAnswer;
  const { holders, advertisers, primary } = endpointState(state);
  const words = [
    ...(holders.includes(name) ? ["has it"] : []),
    ...(advertisers.includes(name) ? ["advertises"] : []),
    ...(primary === name ? ["primary"] : []),
  ];
  return words.length === 0 ? "no" : words.join(", ");
}

function firstCertificate(state: ClusterState, { known }: Reached): string {
  const first = firstToExpire(certificatesOf(known));
  if (first === undefined) return noAnswer;
  return `${day(first.expires)} ${certificateName(first.file)}${first.expires <= state.ended ? " (expired)" : ""}`;
}

function lastSnapshot({ known }: Reached): string {
  const all = known.controlPlane?.snapshots;
  if (all === undefined || !isKnown(all)) return noAnswer;
  const last = all.value.at(-1);
  return last === undefined ? "none" : minute(last.made);
}

function endpointLines(state: ClusterState): string[] {
  const { answered, unanswered } = endpointState(state);
  const silent = state.nodes.filter(({ facts }) => !isKnown(facts)).map(({ name }) => name);
  const parts = [
    `answers ${answered.length} of ${state.nodes.length} nodes`,
    ...(unanswered.length === 0 ? [] : [`not ${unanswered.join(", ")}`]),
    ...(silent.length === 0 ? [] : [`not asked: ${silent.join(", ")}`]),
    isKnown(state.here.endpoint)
      ? "answers this machine"
      : `does not answer this machine (which needs the tailnet's routes for it)`,
  ];
  const { address, port } = state.endpoint;
  const here = state.nodeNetwork === "lan" ? parts.map((part) => part.replace(/ \(which needs.*/, "")) : parts;
  return [`Endpoint ${address}:${port}: ${here.join("; ")}`];
}

function authorityLines(state: ClusterState): string[] {
  const all = authorities(state);
  if (all.length === 0) return ["Authorities: no answer"];
  return [
    `Authorities: ${all.map(({ file, expires }) => `${certificateName(file)} ${expiry(expires, state.ended)}`).join("; ")}`,
  ];
}

function workloadLines(state: ClusterState): string[] {
  const all = workloads(state);
  if (!isKnown(all)) return [`Workloads of kube-system: no answer: ${all.none}`];
  return [
    `Workloads of kube-system, ready: ${all.value.map(({ name, wanted, ready }) => `${name} ${ready}/${wanted}`).join(", ")}`,
  ];
}
