/**
 * The order of a run. components/cluster creates its resources in this order, and preview/ derives the plan from it.
 *
 * All hosts are checked before any is changed → node network and runtime on each → the cluster's authorities → control planes, one at
 * a time: the first initializes the cluster, the others join through the endpoint; in between, dead members are removed. Workers join
 * in parallel as soon as there is an API, while Cilium is installed. Then removed nodes leave, and the cluster is checked.
 *
 * Cluster-wide steps (admission, finalizing, checks) run on the first control plane of the list. It has no other special role, and users
 * may reorder the list at any time.
 */
import type { ClusterConfig, NodeConfig } from "./config";
import { controlPlanes, workers } from "./nodes";

export type StepKind =
  /** A machine on EC2. */
  | "instance"
  /** Checks a host without changing it. */
  | "facts"
  /** All hosts have passed their checks. */
  | "fit"
  /** Does nothing until it is deleted; then it cleans the host. */
  | "cleanup"
  /** Of the tailnet: a key may only have tags that the policy defines. */
  | "policy"
  | "auth-key"
  /** The tailnet or the LAN. */
  | "network"
  /** Does nothing until it is deleted; then it deletes the node's device from the tailnet. */
  | "device"
  | "runtime"
  /** No two nodes have the same address in the tailnet. */
  | "addresses"
  | "authorities"
  | "peers"
  | "control-plane"
  /** The node's routes are approved. */
  | "routes"
  | "upgrade"
  | "dead-members"
  | "encryption"
  | "admission"
  /** Of a worker. */
  | "join"
  | "cilium"
  /** A removed node is drained and leaves the cluster, as part of finalize. */
  | "removal"
  | "finalize"
  /** Does nothing until a destroy; then it stops the destroy if the hosts are unreachable. */
  | "online"
  | "checks"
  /** A removed node's host is cleaned or its machine terminated, at the end of the run. */
  | "end";

export interface OrderedStep {
  kind: StepKind;
  /** Name of the node; undefined for a step of the whole cluster. */
  node: string | undefined;
  /** Name of its resource. */
  id: string;
  /** IDs of the steps that end before it begins. They are earlier in the list. */
  after: readonly string[];
}

/** A node of the last run that is no longer declared. */
export interface RemovedNode {
  name: string;
  /** Name of the resource whose deletion ends its machine. */
  end: string;
}

/** All possible steps of a run. `waitsFor` skips those that a run does not have. */
export function orderOf(
  { nodes, nodeNetwork, maxUnavailableWorkers }: Pick<ClusterConfig, "nodes" | "nodeNetwork" | "maxUnavailableWorkers">,
  removed: readonly RemovedNode[] = [],
): OrderedStep[] {
  const steps: OrderedStep[] = [];
  const add = (kind: StepKind, node: string | undefined, after: readonly string[], id = nameOf(kind, node)) => {
    steps.push({ kind, node, id, after });
    return id;
  };
  const ofNode = (kind: StepKind, { name }: NodeConfig) => nameOf(kind, name);

  const isMade = ({ host }: NodeConfig) => host.kind === "ec2";
  for (const { name } of nodes.filter(isMade)) add("instance", name, []);
  // No host is changed before all have passed their checks.
  const facts = nodes.map((node) => add("facts", node.name, isMade(node) ? [ofNode("instance", node)] : []));
  const fit = add("fit", undefined, facts);
  for (const { name } of nodes.filter((node) => !isMade(node))) add("cleanup", name, []);
  const policy = add("policy", undefined, []);
  const network = (node: NodeConfig) => `${node.name}-${nodeNetwork}`;
  for (const node of nodes) {
    const { name } = node;
    const key = add("auth-key", name, [fit, policy]);
    // The cleanup exists before the first change.
    const end = ofNode(isMade(node) ? "instance" : "cleanup", node);
    add("network", name, [end, fit, key], network(node));
    add("device", name, [network(node)]);
    // Not in parallel on one host, because both may use its package manager.
    add("runtime", name, [network(node)]);
  }
  // No node joins while another has its address.
  const addresses = nodeNetwork === "tailnet" ? [add("addresses", undefined, nodes.map(network))] : [];
  const ready = (node: NodeConfig) => [network(node), ofNode("runtime", node), ...addresses];

  const [first] = controlPlanes(nodes);
  const authorities = add("authorities", undefined, ready(first!));
  const peers = add("peers", undefined, ready(first!));
  // The first API is ready for joins, and its routes are approved.
  const initialized = [ofNode("control-plane", first!), ofNode("routes", first!)];
  const planes: string[] = [];
  for (const node of controlPlanes(nodes)) {
    const { name } = node;
    const earlier = [...planes];
    // One at a time, because etcd accepts one learner at a time.
    const joined = add("control-plane", name, [authorities, peers, ...ready(node), ...earlier]);
    planes.push(joined, add("routes", name, [joined]));
    planes.push(add("upgrade", name, [ofNode("runtime", node), joined, ...earlier]));
    // kubeadm lets no control plane join while an etcd member does not answer.
    if (node === first) planes.push(add("dead-members", undefined, initialized));
  }
  // Only when the last one can read what the first one will encrypt.
  const encrypted = controlPlanes(nodes).map(({ name }) => add("encryption", name, planes));

  const others = workers(nodes);
  // In parallel to the joins, because each needs the other. It needs the runtimes' results.
  const admission =
    others.length === 0
      ? []
      : [add("admission", undefined, [...initialized, ...others.map((node) => ofNode("runtime", node))])];
  const joined: string[] = [];
  // At most maxUnavailableWorkers at once: each worker waits for the one so many places before it, and the first ones for all control
  // planes. The admission declares which nodes may get certificates, and an upgraded kubelet requests one.
  const upgrades: string[] = [];
  for (const node of others) {
    const { name } = node;
    const join = add("join", name, [...initialized, ...ready(node)]);
    const earlier = upgrades[upgrades.length - maxUnavailableWorkers];
    const previous = earlier === undefined ? [...planes, ...admission] : [earlier];
    const upgrade = add("upgrade", name, [ofNode("runtime", node), join, ...previous]);
    joined.push(join, add("routes", name, [join]), upgrade);
    upgrades.push(upgrade);
  }

  const cilium = add("cilium", undefined, initialized);
  let left = [...planes, ...encrypted, ...admission, ...joined, cilium];
  // One at a time, after all new nodes have joined.
  for (const { name } of removed) left = [add("removal", name, left)];
  const finalized = add("finalize", undefined, left);
  // A destroy deletes the step with the most dependencies first.
  add("online", undefined, [finalized]);
  const checks = add("checks", undefined, [finalized]);
  for (const { name, end } of removed) add("end", name, [checks], end);
  return steps;
}

function nameOf(kind: StepKind, node: string | undefined): string {
  if (kind === "policy") return "tailnet-policy";
  if (kind === "admission") return "workers-admission";
  if (kind === "cilium") return "cilium-release";
  return `${node ?? "cluster"}-${kind}`;
}

/**
 * IDs of the existing steps that a step waits for. A step that does not exist is replaced by those that it would wait for.
 */
export function waitsFor(
  { after }: OrderedStep,
  order: ReadonlyMap<string, OrderedStep>,
  isThere: (id: string) => boolean,
): string[] {
  const found = new Set<string>();
  const seen = new Set<string>();
  const visit = (id: string) => {
    if (seen.has(id)) return;
    seen.add(id);
    if (isThere(id)) found.add(id);
    else order.get(id)!.after.forEach(visit);
  };
  after.forEach(visit);
  return [...found];
}

/** The steps by their IDs. */
export function byId(steps: readonly OrderedStep[]): Map<string, OrderedStep> {
  return new Map(steps.map((step) => [step.id, step]));
}
