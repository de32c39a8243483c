/** Problems of etcd's members. */
import { listed } from "../../../model/messages";
import { isKnown, valueOf } from "../../answers";
import { controlPlanes } from "../../../model/nodes";
import { type ClusterState, etcd, type MemberState, type NodeState } from "../state";
import { onNode, type Problem } from "./problem";

export function etcdProblems(state: ClusterState): Problem[] {
  const all = etcd(state);
  const planes = controlPlanes(state.nodes);
  if (!isKnown(all)) {
    return [
      {
        id: "etcd-no-answer",
        level: "error",
        what: `etcd answers on no control plane that could be asked: ${all.none}`,
        evidence: planes.flatMap((node) => memberEvidence(node).map((line) => `${node.name}: ${line}`)),
        cure: [
          "start the control planes' hosts and their kubelets; a majority of the members must run",
          "if their data is lost on all of them: docs/operate/disaster.md",
        ],
      },
    ];
  }
  const members = all.value;
  return [
    ...lostMajority(members),
    ...downMembers(state, members),
    ...unknownHealth(members),
    ...alarms(members),
    ...strangers(state, members),
  ];
}

const voters = (members: readonly MemberState[]) => members.filter(({ isLearner }) => !isLearner);
/** Those that may be healthy: one whose health is unknown is not counted as lost. */
const possible = (members: readonly MemberState[]) =>
  voters(members).filter(({ health }) => health !== "unhealthy").length;
const majority = (members: readonly MemberState[]) => Math.floor(voters(members).length / 2) + 1;

function lostMajority(members: readonly MemberState[]): Problem[] {
  if (possible(members) >= majority(members)) return [];
  return [
    {
      id: "etcd-majority-lost",
      level: "error",
      what: `etcd has no majority: ${possible(members)} of ${voters(members).length} members are healthy, and ${majority(members)} are needed. The API cannot write`,
      evidence: [],
      cure: [
        "bring back the members below, any of them first",
        "if a majority of the machines is lost for good: docs/operate/disaster.md",
      ],
    },
  ];
}

function unknownHealth(members: readonly MemberState[]): Problem[] {
  const unknown = members.filter(({ health }) => health === "no answer").map(({ node, name }) => node ?? name);
  if (unknown.length === 0) return [];
  return [
    {
      id: "etcd-health-unknown",
      level: "error",
      what: `etcd does not say whether its members on ${listed(unknown)} are healthy`,
      evidence: [],
      cure: ["run tailkube status again; if it stays so, see the other problems of the control planes"],
    },
  ];
}

/** Where a member does not run, what its host says about that. */
function memberEvidence({ facts }: NodeState): string[] {
  if (!isKnown(facts)) return ["the host does not answer"];
  const plane = facts.value.controlPlane;
  if (plane === undefined) return [];
  const manifests = valueOf(plane.manifests);
  return [
    ...(manifests !== undefined && !manifests.includes("etcd.yaml")
      ? ["/etc/kubernetes/manifests/etcd.yaml is missing"]
      : []),
    ...("none" in plane.members ? [plane.members.none] : []),
  ];
}

function downMembers(state: ClusterState, members: readonly MemberState[]): Problem[] {
  const down = members
    .filter(({ node, health }) => node !== undefined && health === "unhealthy")
    .map((member) => ({ node: state.nodes.find(({ name }) => name === member.node)!, why: member.why }));
  const absent = controlPlanes(state.nodes)
    .filter(({ name }) => !members.some(({ node }) => node === name))
    .map((node) => ({ node, why: "etcd has no member of that name" }));
  const left = possible(members) - majority(members);
  const margin =
    left < 0 ? "etcd has no majority" : left === 0 ? "the loss of one more stops the cluster" : `${left} more may fail`;
  return [...down, ...absent].map(({ node, why }) => ({
    id: "etcd-member-down",
    level: "error",
    node: node.name,
    what: `${node.name}: its etcd member is down: ${possible(members)} of ${voters(members).length} are healthy, ${margin}`,
    evidence: [...new Set([...memberEvidence(node), why])],
    cure: memberCure(node),
  }));
}

function memberCure(node: NodeState): string[] {
  const replace = `if it cannot start, replace the member: change host.identity of ${node.name}, then pulumi up (docs/operate/nodes.md)`;
  if (!isKnown(node.facts)) return [`start the host ${node.name}`, replace];
  const manifests = valueOf(node.facts.value.controlPlane?.manifests ?? { none: "" });
  return [
    manifests !== undefined && !manifests.includes("etcd.yaml")
      ? `put /etc/kubernetes/manifests/etcd.yaml back on ${node.name}; the kubelet then starts etcd`
      : `why it does not run: ${onNode(node, "sh -c 'tail -n 20 /var/log/pods/kube-system_etcd-*/etcd/*.log'")}`,
    replace,
  ];
}

function alarms(members: readonly MemberState[]): Problem[] {
  return members.flatMap(({ node, name, status }) =>
    (status?.errors ?? []).slice(0, 1).map((error): Problem => {
      const on = node ?? name;
      return {
        id: "etcd-alarm",
        level: "error",
        node: on,
        what: `${on}: etcd reports ${error}`,
        evidence: status === undefined ? [] : [`its database has ${Math.round(status.bytes / 1e6)} MB`],
        cure: [
          `NOSPACE: remove what fills it (kubectl get events -A | wc -l), then tailkube ssh ${on} -- sudo /usr/local/lib/tailkube/etcd ctl defrag, and ctl alarm disarm`,
          `CORRUPT: replace that member: change host.identity of ${on}, then pulumi up`,
        ],
      };
    }),
  );
}

function strangers({ nodes }: ClusterState, members: readonly MemberState[]): Problem[] {
  return members
    .filter(({ node }) => node === undefined)
    .map(({ name, id, peerUrls }) => ({
      id: "etcd-unknown-member",
      level: "warning",
      what: `etcd has a member that is not a control plane of the stack: ${name || id} at ${peerUrls.join(", ")}`,
      evidence: [
        `control planes: ${controlPlanes(nodes)
          .map((node) => node.name)
          .join(", ")}`,
      ],
      cure: ["pulumi up removes the dead members of former control planes"],
    }));
}
