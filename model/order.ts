/**
 * The order of a run, the one definition of it: components/cluster makes its resources in this order, and preview/ tells by it what a
 * run will do.
 *
 * All hosts are checked before one is changed → node network and runtime on each → the cluster's authorities are made → one control
 * plane after the other: the first inits the cluster, each other joins through the endpoint; in between, dead members are removed.
 * Workers join as soon as there is an API, all at once. Cilium is installed beside them. Then removed nodes leave, and the whole is
 * checked.
 *
 * The first control plane of the list is where steps for the whole cluster run (the admission of workers, finalizing, the checks);
 * nothing else sets it apart, and the list may be put into another order at any time.
 */
import type { ClusterConfig, NodeConfig } from "./config";
import { controlPlanes, workers } from "./nodes";

export type StepKind =
  /** Made on EC2; what is on it goes with it. */
  | "instance"
  /** The first look at a host, which changes nothing. */
  | "facts"
  /** All hosts are known to be fit. */
  | "fit"
  /** Does nothing until the host leaves, and cleans it then. */
  | "cleanup"
  /** Of the tailnet: a key may only have a tag that it knows. */
  | "policy"
  | "auth-key"
  /** The tailnet or the lan. */
  | "network"
  /** Does nothing until the node leaves, and deletes its device from the tailnet then. */
  | "device"
  | "runtime"
  /** No two nodes have the same address in the tailnet. */
  | "addresses"
  | "authorities"
  | "peers"
  | "control-plane"
  /** The tailnet takes what the node advertises. */
  | "routes"
  | "upgrade"
  | "dead-members"
  | "encryption"
  | "admission"
  /** Of a worker. */
  | "join"
  | "cilium"
  /** A removed node is drained, and leaves the cluster; a part of finalizing. */
  | "removal"
  | "finalize"
  /** Does nothing until a destroy, and ends that if the hosts are out of reach. */
  | "online"
  | "checks"
  /** A removed node's host is cleaned, or its machine terminated: the engine deletes at the end what is no longer declared. */
  | "end";

export interface OrderedStep {
  kind: StepKind;
  /** Name of the node; undefined for a step of the whole cluster. */
  node: string | undefined;
  /** Name of the resource that does it. */
  id: string;
  /** IDs of the steps that end before it begins. Each comes before it in the list. */
  after: readonly string[];
}

/** A node of the last run that is no longer declared. */
export interface RemovedNode {
  name: string;
  /** Name of the resource whose deletion ends its machine. */
  end: string;
}

/** All steps that a run may have. Those that a run has no use for are left out by `waitsFor`. */
export function orderOf(
  { nodes, nodeNetwork }: Pick<ClusterConfig, "nodes" | "nodeNetwork">,
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
  // Nothing is changed on any host before all are known to be fit.
  const facts = nodes.map((node) => add("facts", node.name, isMade(node) ? [ofNode("instance", node)] : []));
  const fit = add("fit", undefined, facts);
  for (const { name } of nodes.filter((node) => !isMade(node))) add("cleanup", name, []);
  const policy = add("policy", undefined, []);
  const network = (node: NodeConfig) => `${node.name}-${nodeNetwork}`;
  for (const node of nodes) {
    const { name } = node;
    const key = add("auth-key", name, [fit, policy]);
    // What takes everything off the host again is there before the first change.
    const end = ofNode(isMade(node) ? "instance" : "cleanup", node);
    add("network", name, [end, fit, key], network(node));
    add("device", name, [network(node)]);
    // One after the other on a host: both may use its package manager.
    add("runtime", name, [network(node)]);
  }
  // No node joins while another has its address.
  const addresses = nodeNetwork === "tailnet" ? [add("addresses", undefined, nodes.map(network))] : [];
  const ready = (node: NodeConfig) => [network(node), ofNode("runtime", node), ...addresses];

  const [first] = controlPlanes(nodes);
  const authorities = add("authorities", undefined, ready(first!));
  const peers = add("peers", undefined, ready(first!));
  // Where an API is that others join by: its own routes are approved, too.
  const founded = [ofNode("control-plane", first!), ofNode("routes", first!)];
  const planes: string[] = [];
  for (const node of controlPlanes(nodes)) {
    const { name } = node;
    const earlier = [...planes];
    // One after the other, for etcd takes one learner at a time.
    const joined = add("control-plane", name, [authorities, peers, ...ready(node), ...earlier]);
    planes.push(joined, add("routes", name, [joined]));
    planes.push(add("upgrade", name, [ofNode("runtime", node), joined, ...earlier]));
    // kubeadm lets no control plane join while a member of etcd does not answer.
    if (node === first) planes.push(add("dead-members", undefined, founded));
  }
  // When the last of them can read what the first one will encrypt.
  const encrypted = controlPlanes(nodes).map(({ name }) => add("encryption", name, planes));

  const others = workers(nodes);
  // Beside the joins: either would wait for the other for ever. It knows the workers by what their hosts have said.
  const admission =
    others.length === 0
      ? []
      : [add("admission", undefined, [...founded, ...others.map((node) => ofNode("runtime", node))])];
  const joined: string[] = [];
  // One node at a time, so each waits for the one before it, and workers for all control planes. The admission declares whose
  // certificates are approved, and a changed kubelet asks for one.
  let previous = [...planes, ...admission];
  for (const node of others) {
    const { name } = node;
    const join = add("join", name, [...founded, ...ready(node)]);
    const upgrade = add("upgrade", name, [ofNode("runtime", node), join, ...previous]);
    joined.push(join, add("routes", name, [join]), upgrade);
    previous = [upgrade];
  }

  const cilium = add("cilium", undefined, founded);
  let left = [...planes, ...encrypted, ...admission, ...joined, cilium];
  // One after the other, when all that comes is in.
  for (const { name } of removed) left = [add("removal", name, left)];
  const finalized = add("finalize", undefined, left);
  // What depends on most goes first in a destroy.
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
 * IDs of the steps that a step waits for, of those that there are. One that there is not is passed through, to those that it would
 * wait for itself.
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
