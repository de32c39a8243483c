/** A cluster as its hosts and its API have described it, and what follows from that. Pure. */
import { controlPlanes } from "../../model/nodes";
import { type Asked, isKnown, valueOf } from "../answers";
import type { ApiNode, HostFacts, Member, MemberStatus, Tailnet, Workload } from "./facts";

export interface NodeState {
  name: string;
  role: string;
  /** Node IP. */
  address: string;
  user: string;
  /** Where this machine reaches it: `192.0.2.11 port 22`. */
  where: string;
  facts: Asked<HostFacts>;
}

export interface ClusterState {
  name: string;
  nodeNetwork: "tailnet" | "lan";
  endpoint: { address: string; port: number; kind?: "vip" };
  kubernetesVersion: string;
  /** When the questions began and ended, by this machine's clock. */
  begun: Date;
  ended: Date;
  nodes: NodeState[];
  /** What this machine itself has been answered. */
  here: {
    /** By the API server of directKubeconfig. */
    nodes: Asked<ApiNode[]>;
    /** What /readyz says at the endpoint. */
    endpoint: Asked<string>;
  };
}

/** A node that answered. */
export type Reached = NodeState & { known: HostFacts };

/** Undefined if it gave no answer. */
export const reached = (node: NodeState): Reached | undefined =>
  isKnown(node.facts) ? { ...node, known: node.facts.value } : undefined;

export const reachedNodes = ({ nodes }: Pick<ClusterState, "nodes">): Reached[] =>
  nodes.flatMap((node) => reached(node) ?? []);

/** The first value of several that all describe the same thing; otherwise the reason of the first. */
export function firstKnown<T>(all: readonly Asked<T>[]): Asked<T> {
  return all.find(isKnown) ?? all[0] ?? { none: "no control plane answered" };
}

const fromControlPlanes = <T>(state: ClusterState, pick: (facts: HostFacts) => Asked<T> | undefined): Asked<T>[] =>
  controlPlanes(reachedNodes(state)).flatMap(({ known }) => pick(known) ?? []);

/** The nodes as the API has them. */
export const apiNodes = (state: ClusterState): Asked<ApiNode[]> =>
  firstKnown([...fromControlPlanes(state, ({ controlPlane }) => controlPlane?.nodes), state.here.nodes]);

export const workloads = (state: ClusterState): Asked<Workload[]> =>
  firstKnown(fromControlPlanes(state, ({ controlPlane }) => controlPlane?.workloads));

/** Whether a node is Ready, and why it is not. */
export function readiness(state: ClusterState, name: string): { ready: "yes" | "no" | "no answer"; why: string } {
  const all = apiNodes(state);
  if (!isKnown(all)) return { ready: "no answer", why: all.none };
  const node = all.value.find((one) => one.name === name);
  if (node === undefined) return { ready: "no", why: "the cluster has no such node" };
  const ready = ({ True: "yes", False: "no" } as const)[node.ready] ?? "no answer";
  return { ready, why: node.why };
}

/** An etcd member with everything that is known of it. */
export interface MemberState extends Member {
  /** Its node; undefined if the stack has none for it. */
  node?: string;
  health: "healthy" | "unhealthy" | "no answer";
  why: string;
  status?: MemberStatus;
  isLeader: boolean;
}

/** etcd as one control plane describes it: one whose own member is healthy, if there is one. */
export function etcd(state: ClusterState): Asked<MemberState[]> {
  const views = controlPlanes(reachedNodes(state)).flatMap(({ name, known: { controlPlane } }) =>
    controlPlane === undefined ? [] : [{ name, ...controlPlane }],
  );
  const members = views.filter(({ members: all }) => isKnown(all)).map((view) => memberStates(state, view));
  const healthiest = (all: MemberState[]) => all.filter(({ health }) => health === "healthy").length;
  const best = members.sort((a, b) => healthiest(b) - healthiest(a))[0];
  if (best !== undefined) return { value: best };
  return firstKnown(views.map(({ members: all }) => all as Asked<never>));
}

type View = NonNullable<HostFacts["controlPlane"]>;

function memberStates({ nodes }: ClusterState, { members, memberHealth, memberStatus }: View): MemberState[] {
  const health = valueOf(memberHealth);
  const status = valueOf(memberStatus) ?? [];
  return (valueOf(members) ?? []).map((member) => {
    const node = nodes.find(
      ({ name, address }) =>
        name === member.name || (member.name === "" && member.peerUrls.some((url) => url.includes(`//${address}:`))),
    )?.name;
    const said = member.clientUrls.map((url) => health?.[url]).find((one) => one !== undefined);
    const own = status.find(({ id }) => id === member.id);
    return {
      ...member,
      ...(node !== undefined && { node }),
      health:
        said === undefined ? (member.name === "" ? "unhealthy" : "no answer") : said === "" ? "healthy" : "unhealthy",
      why: said ?? (member.name === "" ? "it has never started" : "no answer"),
      ...(own !== undefined && { status: own }),
      isLeader: own !== undefined && own.leader === own.id,
    };
  });
}

/** Which control planes have the endpoint, which advertise it, and which the tailnet sends its traffic to. */
export interface EndpointState {
  holders: string[];
  advertisers: string[];
  /** Undefined if no host with a running tailnet has named one. */
  primary?: string;
  /** Names of nodes that get an answer through it, that get none, and that could not be asked. */
  answered: string[];
  unanswered: string[];
}

export function endpointState(state: ClusterState): EndpointState {
  const { address } = state.endpoint;
  const route = `${address}/32`;
  const all = reachedNodes(state);
  const named = (test: (facts: HostFacts) => boolean, of = all) =>
    of.filter(({ known }) => test(known)).map(({ name }) => name);
  const planes = controlPlanes(all);
  const answers = (facts: HostFacts) => valueOf(facts.endpoint) === "ok";
  const primary = primaryOf(state, route);
  return {
    holders: named((facts) => {
      const own = facts.loopback ?? facts.vip;
      return own !== undefined && valueOf(own)?.includes(address) === true;
    }, planes),
    advertisers: named(
      (facts) => facts.advertised !== undefined && valueOf(facts.advertised)?.includes(route) === true,
      planes,
    ),
    ...(primary !== undefined && { primary }),
    answered: named(answers),
    unanswered: named((facts) => !answers(facts)),
  };
}

function primaryOf(state: ClusterState, route: string): string | undefined {
  for (const { known } of reachedNodes(state)) {
    const tailnet = runningTailnet(known);
    const device = [...(tailnet?.peers ?? []), ...(tailnet ? [tailnet.self] : [])].find(({ primaryRoutes }) =>
      primaryRoutes.includes(route),
    );
    if (device !== undefined) {
      return state.nodes.find(({ address }) => device.addresses.includes(address))?.name ?? device.name;
    }
  }
  return undefined;
}

/** What a host says of its tailnet while it is logged in: what others are is old afterwards. */
export function runningTailnet({ tailnet }: Pick<HostFacts, "tailnet">): Tailnet | undefined {
  const known = tailnet === undefined ? undefined : valueOf(tailnet);
  return known?.state === "Running" ? known : undefined;
}

/** A node's device as it describes itself, or else as another node does. */
export function deviceOf(state: ClusterState, { address, facts }: NodeState) {
  const own = isKnown(facts) && facts.value.tailnet !== undefined ? valueOf(facts.value.tailnet) : undefined;
  const seen = reachedNodes(state)
    .flatMap(({ known }) => runningTailnet(known)?.peers ?? [])
    .filter(({ addresses }) => addresses.includes(address));
  return { own, peer: seen.find(({ online }) => online) ?? seen[0] };
}
