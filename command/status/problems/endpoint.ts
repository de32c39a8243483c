/** Problems of the API servers and of the endpoint. */
import { listed } from "../../../model/messages";
import { isKnown, valueOf } from "../../answers";
import { controlPlanes } from "../../../model/nodes";
import { type ClusterState, endpointState, type Reached, reachedNodes, runningTailnet } from "../state";
import { stoppedUnits } from "./hosts";
import { onNode, type Problem } from "./problem";

/** What a control plane's own API server says: `ok`, what else, or why there was no answer. */
export function apiServer({ known }: Reached): { isReady: boolean; said: string } {
  const ready = known.controlPlane?.ready ?? { none: "not asked" };
  if ("none" in ready) return { isReady: false, said: `no answer: ${ready.none}` };
  if (ready.value === "ok") return { isReady: true, said: "ok" };
  const failed = ready.value.split("\n").filter((line) => line.startsWith("[-]"));
  return {
    isReady: false,
    said: (failed.length > 0 ? failed.join(", ") : ready.value.replace(/\s+/g, " ")).slice(0, 160),
  };
}

export function apiServers(state: ClusterState): Problem[] {
  return controlPlanes(reachedNodes(state)).flatMap((node): Problem[] => {
    const { isReady, said } = apiServer(node);
    if (isReady) return [];
    const manifests = valueOf(node.known.controlPlane!.manifests);
    const isMissing = manifests !== undefined && !manifests.includes("kube-apiserver.yaml");
    return [
      {
        id: "api-server-not-ready",
        level: "error",
        node: node.name,
        what: `${node.name}: its API server is not ready: ${said}`,
        evidence: isMissing ? ["/etc/kubernetes/manifests/kube-apiserver.yaml is missing"] : [],
        cure: [
          isMissing
            ? `put /etc/kubernetes/manifests/kube-apiserver.yaml back on ${node.name}`
            : `its reasons: ${onNode(node, "sh -c 'tail -n 20 /var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log'")}`,
        ],
      },
    ];
  });
}

export function endpointProblems(state: ClusterState): Problem[] {
  if (state.nodeNetwork === "tailnet") return tailnetEndpoint(state);
  return state.endpoint.kind === "vip" ? vipEndpoint(state) : lanEndpoint(state);
}

const text = ({ endpoint }: ClusterState) => `the endpoint ${endpoint.address}`;

function lanEndpoint(state: ClusterState): Problem[] {
  const { answered, unanswered } = endpointState(state);
  if (unanswered.length === 0) return [];
  if (answered.length > 0) return [unreached(state, unanswered)];
  return [
    {
      id: "endpoint-no-answer",
      level: "error",
      what: `${text(state)} answers on no node`,
      evidence: [],
      cure: [
        state.endpoint.kind === "vip"
          ? "why no control plane has it: journalctl -u tailkube-endpoint on each"
          : "your load balancer or address must lead to a control plane with a ready API server: docs/install/lan.md",
      ],
    },
  ];
}

function vipEndpoint(state: ClusterState): Problem[] {
  const planes = controlPlanes(reachedNodes(state));
  const { holders, answered } = endpointState(state);
  if (holders.length > 1) return [twice(state, holders)];
  const areAsked = planes.length > 0 && planes.every(({ known }) => known.vip !== undefined && isKnown(known.vip));
  const isEveryPlane = planes.length === controlPlanes(state.nodes).length;
  // A control plane that does not answer may have it. One that had it a moment ago may just have handed it over.
  if (holders.length === 0 && areAsked && isEveryPlane && answered.length === 0) return [nowhere(state, planes)];
  return lanEndpoint(state);
}

// They are not asked at the same moment, so one of them may have handed it over to the other.
function twice(state: ClusterState, holders: readonly string[]): Problem {
  const nodes = reachedNodes(state).filter(({ name }) => holders.includes(name));
  return {
    id: "endpoint-twice",
    level: "error",
    what: `${text(state)} is on ${listed(holders)} at the same time, unless it moved while they were asked`,
    evidence: [],
    cure: [
      "ask again: tailkube status",
      ...nodes.map((node) => `if it stays, on each: ${onNode(node, "systemctl restart tailkube-endpoint")}`),
    ],
  };
}

function tailnetEndpoint(state: ClusterState): Problem[] {
  const planes = controlPlanes(reachedNodes(state));
  const { holders, advertisers, primary, answered, unanswered } = endpointState(state);
  const isKnownOfAll = (of: "loopback" | "advertised") =>
    planes.length > 0 && planes.every(({ known }) => known[of] !== undefined && isKnown(known[of]));
  const isEveryPlane = planes.length === controlPlanes(state.nodes).length;
  // A control plane that does not answer may have it; not so if no node that answers reaches it.
  if (holders.length === 0 && isKnownOfAll("loopback") && (isEveryPlane || answered.length === 0)) {
    return [nowhere(state, planes)];
  }
  if (unanswered.length === 0) return [];
  if (answered.length > 0) return [unreached(state, unanswered)];
  if (advertisers.length === 0 && isKnownOfAll("advertised")) return [notAdvertised(state, planes, holders)];
  const hasTable = reachedNodes(state).some(({ known }) => runningTailnet(known) !== undefined);
  if (primary === undefined && advertisers.length > 0 && hasTable) return [notApproved(state, advertisers)];
  return [unreached(state, unanswered)];
}

function nowhere(state: ClusterState, planes: readonly Reached[]): Problem {
  const reasons = planes.map((node) => ({ node, stopped: stoppedUnits(state, node), server: apiServer(node) }));
  const startable = reasons.filter(
    ({ stopped, server }) => stopped.includes("tailkube-endpoint.service") && server.isReady,
  );
  return {
    id: "endpoint-nowhere",
    level: "error",
    what: `${text(state)} is on no control plane${planes.length < controlPlanes(state.nodes).length ? " that answers" : ""}, so no node and no client reaches the API`,
    evidence: reasons.map(({ node, stopped, server }) =>
      stopped.includes("tailkube-endpoint.service")
        ? `${node.name}: tailkube-endpoint does not run; the API server says ${server.said}`
        : `${node.name}: the API server says ${server.said}`,
    ),
    cure:
      startable.length > 0
        ? startable.map(({ node }) => `start it: ${onNode(node, "systemctl start tailkube-endpoint")}`)
        : [
            "bring one API server back first (see the other problems); the endpoint then returns by itself",
            `if it does not: ${onNode(planes[0]!, "journalctl -u tailkube-endpoint -n 50 --no-pager")}`,
          ],
  };
}

function notAdvertised(state: ClusterState, planes: readonly Reached[], holders: readonly string[]): Problem {
  const on = planes.find(({ name }) => holders.includes(name)) ?? planes[0]!;
  return {
    id: "endpoint-not-advertised",
    level: "error",
    what: `${text(state)} ${holders.length === 0 ? "" : `is on ${listed(holders)}, but `}is advertised to the tailnet by no control plane`,
    evidence: [],
    cure: [
      `advertise it again: ${onNode(on, "systemctl restart tailkube-routes tailkube-endpoint")}`,
      `if it is not advertised then: ${onNode(on, "journalctl -u tailkube-routes -n 50 --no-pager")}`,
    ],
  };
}

function notApproved(state: ClusterState, advertisers: readonly string[]): Problem {
  return {
    id: "endpoint-not-approved",
    level: "error",
    what: `${text(state)} is advertised by ${listed(advertisers)}, but the tailnet sends its traffic to none of them`,
    evidence: [],
    cure: [`approve the route ${state.endpoint.address}/32 in the tailnet (autoApprovers): docs/install/tailnet.md`],
  };
}

function unreached(state: ClusterState, names: readonly string[]): Problem {
  const node = reachedNodes(state).find(({ name }) => name === names[0])!;
  return {
    id: "endpoint-not-reached",
    level: "error",
    ...(names.length === 1 && { node: node.name }),
    what: `${listed(names)} ${names.length === 1 ? "gets" : "get"} no answer from ${text(state)}`,
    evidence: names.flatMap((name) => {
      const { endpoint } = reachedNodes(state).find((one) => one.name === name)!.known;
      return `${name}: ${"none" in endpoint ? endpoint.none : endpoint.value.slice(0, 120)}`;
    }),
    cure:
      state.nodeNetwork === "lan"
        ? ["look for a firewall between the node and the endpoint: docs/install/lan.md"]
        : [
            `the node must have its route: ${onNode(node, `ip route get ${state.endpoint.address}`)}`,
            "the tailnet's policy must let the nodes' tag reach it at its port: docs/install/tailnet.md",
          ],
  };
}
