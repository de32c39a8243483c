/**
 * What a run will do to which node, in which order: the steps of model/order.ts that change something, compared with the last
 * complete run.
 */
import { proxyText } from "../components/hosts/proxy";
import { hostOf } from "../components/kubernetes/registries";
import type { ClusterConfig, NodeConfig } from "../model/config";
import { isMade } from "../model/machine";
import { controlPlanes } from "../model/nodes";
import type { AppliedNode } from "../model/outputs";
import { byId, orderOf, type OrderedStep, waitsFor } from "../model/order";
import { hubbleChange, hubbleWords } from "./hubble";
import { labelsOf, type LastRun, releaseOf } from "./last-run";
import { poolChange, servingChange, servingWords } from "./load-balancer";
import { type MachineChange, machineChange, removedNodes, survivors, upgradeKeys } from "./members";
import { settingsChange, settingsKeys, timingWords } from "./kubernetes-settings";
import { udpGroChange, udpGroWords } from "./udp-gro";
import { nodePlans, type Plan, type Step } from "./plan";

/** What one step of the order does. Steps of several hosts with the same batch become one step of the plan. */
type Work = Pick<Step, "kind" | "does" | "disturbs"> & {
  nodes: readonly string[];
  batch?: (typeof batches)[number] | undefined;
  /** If it is not the step's own. */
  resource?: string;
};

/** Machines that the program creates are checked later than existing ones. */
const batches = ["made", "made again", "checked", "checked when made"] as const;

/** The plan of a run. `last` is undefined for a new cluster. */
export function planOf(config: ClusterConfig, last: LastRun | undefined): Plan {
  const removed = removedNodes(config.nodes, last);
  const machines = new Map(config.nodes.map((node) => [node.name, machineChange(node, last)]));
  const order = orderOf(
    config,
    removed.map((member) => ({ name: member.name, end: `${member.name}-${isMade(member) ? "instance" : "cleanup"}` })),
  );
  const works = new Map<string, Work>();
  const change = new Change(config, last, machines, removed);
  for (const step of order) {
    const work = change.work(step, [...works.values()]);
    if (work !== undefined) works.set(step.id, work);
  }
  const steps = stepsOf(order, works);
  return { isNew: last === undefined, steps, nodes: nodePlans(config, last, machines, steps) };
}

/** The steps that do something. Each waits for the earlier ones among them that the order names. */
function stepsOf(order: readonly OrderedStep[], works: ReadonlyMap<string, Work>): Step[] {
  const ordered = byId(order);
  const made = new Map<string, Step>();
  const add = (group: readonly OrderedStep[]) => {
    const [first] = group.map(({ id }) => ({ id, ...works.get(id)! }));
    if (first === undefined) return;
    const earlier = group.flatMap((one) => waitsFor(one, ordered, (id) => works.has(id)));
    const { kind, does, disturbs, id, resource = id } = first;
    const step: Step = {
      kind,
      nodes: group.flatMap((one) => works.get(one.id)!.nodes),
      resource,
      after: [...new Set(earlier.map((one) => made.get(one)!))],
      does,
      ...(disturbs !== undefined && { disturbs }),
    };
    for (const one of group) made.set(one.id, step);
  };
  const batchOf = ({ id }: OrderedStep) => works.get(id)?.batch;
  for (const batch of batches) add(order.filter((step) => batchOf(step) === batch));
  for (const step of order) if (works.has(step.id) && batchOf(step) === undefined) add([step]);
  return [...new Set(made.values())];
}

/** What a run changes. */
class Change {
  private readonly isNew: boolean;
  /** In a LAN, the user provides the endpoint. */
  private readonly isLan: boolean;
  private readonly endpoint: string;
  private readonly keys: readonly string[];

  constructor(
    private readonly config: ClusterConfig,
    private readonly last: LastRun | undefined,
    private readonly machines: ReadonlyMap<string, MachineChange>,
    private readonly removed: readonly AppliedNode[],
  ) {
    this.isNew = last === undefined;
    this.isLan = config.nodeNetwork === "lan";
    this.endpoint = `${config.endpoint.address}:${config.endpoint.port}`;
    this.keys = upgradeKeys(config, last);
  }

  /**
   * What a step does; undefined if it changes nothing, or does not matter to a user.
   *
   * @param earlier what the steps before it do.
   */
  work(step: OrderedStep, earlier: readonly Work[]): Work | undefined {
    const { config } = this;
    const node = config.nodes.find(({ name }) => name === step.node);
    if (node !== undefined) return this.isJoining(node) ? this.workOnJoining(step, node) : this.workOnOther(step, node);
    // A removed node is not in the config.
    const nodes = step.node === undefined ? [] : [step.node];
    switch (step.kind) {
      case "dead-members":
        return this.deadMembers();
      case "cilium":
        return this.cilium();
      case "removal":
        return {
          kind: "removal",
          nodes,
          resource: "cluster-finalize",
          does: `is ${config.drainSeconds > 0 ? "drained if it is Ready, then " : ""}removed from the cluster`,
          disturbs: config.drainSeconds > 0 ? "its pods, which are evicted" : "its pods, which are not drained",
        };
      case "finalize":
        return this.finalize(earlier.length > 0);
      case "checks":
        return config.checks && earlier.some(({ kind }) => kind !== "finalize")
          ? { kind: "test", nodes: [], does: "the cluster is checked" }
          : undefined;
      case "end":
        return {
          kind: "clean",
          nodes,
          does: step.id.endsWith("-instance") ? "its EC2 machine is terminated" : "its host is cleaned, if it answers",
        };
      default:
        return undefined;
    }
  }

  private isJoining({ name }: NodeConfig): boolean {
    return ["new", "replaced"].includes(this.machines.get(name)!);
  }

  private workOnJoining({ kind }: OrderedStep, node: NodeConfig): Work | undefined {
    const { config, isLan, endpoint } = this;
    const { name, host } = node;
    const isVip = config.endpoint.kind === "vip";
    const serves = servingWords(config, node);
    const timing = timingWords(config);
    const etcd = timing === undefined ? "" : `, with etcd's ${timing}`;
    const isReplaced = this.machines.get(name) === "replaced";
    const nodes = [name];
    switch (kind) {
      case "instance":
        return isReplaced
          ? {
              kind: "make",
              nodes,
              batch: "made again",
              does: "its EC2 machine is terminated with all its data, and a new one is created",
              disturbs: "its pods, which are not drained",
            }
          : { kind: "make", nodes, batch: "made", does: "its EC2 machine is created" };
      case "facts":
        return {
          kind: "check",
          nodes,
          batch: host.kind === "ec2" ? "checked when made" : "checked",
          does: "check host keys and requirements; no host is changed until all pass",
        };
      case "cleanup":
        return isReplaced
          ? {
              kind: "clean",
              nodes,
              does: "its previous machine is cleaned, if it still answers",
              disturbs: "its pods, which are not drained",
            }
          : undefined;
      case "runtime":
        return {
          kind: "prepare",
          nodes,
          does: `${isLan ? "" : `joins the tailnet${udpGroWords(config)}; `}gets containerd and kubelet${sources(config)}`,
        };
      case "control-plane":
        return name === controlPlanes(config.nodes)[0]!.name && survivors(config.nodes, this.last).length === 0
          ? {
              kind: "init",
              nodes,
              does: `initializes the cluster${config.restoreSnapshot === undefined ? "" : ` from ${config.restoreSnapshot}`}${isLan && !isVip ? "" : `, with the endpoint ${endpoint}`}${numberWords(config)}${etcd}${serves}`,
            }
          : {
              kind: "join",
              nodes,
              does: `joins as a control plane through ${endpoint}${isVip ? ", then can take over the endpoint" : isLan ? "" : ", then also holds the endpoint"}${serves}`,
            };
      case "join":
        return { kind: "join", nodes, does: `joins as a worker through ${endpoint}${serves}` };
      default:
        return undefined;
    }
  }

  private workOnOther({ kind }: OrderedStep, node: NodeConfig): Work | undefined {
    const { config, last, keys } = this;
    const { name, role } = node;
    if (kind === "network") {
      const [serving, nics] = [servingChange(config, last, name), udpGroChange(config, last)];
      const does = [serving, nics].flatMap((change) => change?.does ?? []).join("; ");
      return does === "" ? undefined : { kind, nodes: [name], ...serving, does };
    }
    if (kind !== "upgrade") return undefined;
    const renews = role === "control-plane" && keys.includes("kubernetes.certificateRenewal");
    const settings = settingsKeys(config, last, node);
    const ofSoftware = keys.filter((key) => key !== "kubernetes.certificateRenewal");
    if (ofSoftware.length === 0 && !renews && settings.length === 0) return undefined;
    const nodes = [name];
    if (ofSoftware.length === 0 && settings.length > 0) {
      const change = settingsChange(config, settings, node);
      const more = renews ? "; renews its certificates and restarts its static pods" : "";
      return { kind: "restart", nodes, ...change, does: `${change.does}${more}` };
    }
    const software = [...ofSoftware, ...settings];
    if (ofSoftware.length === 0) {
      return {
        kind: "restart",
        nodes,
        does: "renews its certificates and restarts its static pods",
        disturbs: "clients of its API server, which reconnect to another control plane if there is one",
      };
    }
    // As in components/kubernetes/node-upgrade.ts: the pods of the only node have nowhere to go.
    const isDrained = config.nodes.length > 1 && config.drainSeconds > 0;
    const isProxy = software.join() === "proxy";
    const what =
      keys[0] === "kubernetes.version"
        ? `upgraded from Kubernetes ${last!.kubernetes} to ${config.kubernetesVersion}`
        : `upgraded because of ${software.join(" and ")}, unless it is up to date`;
    return {
      kind: "upgrade",
      nodes,
      does: isProxy
        ? `${isDrained ? "is drained; " : ""}its containerd${this.isLan ? " restarts" : ", tailscaled and Cilium restart"} ${proxyWords(config)}`
        : `is ${isDrained ? "drained, " : ""}${what}, and restarted`,
      disturbs:
        (isDrained ? "its pods, which are evicted" : "its pods, which stay on it") +
        (role === "control-plane" ? "; clients of its API server" : ""),
    };
  }

  private deadMembers(): Work | undefined {
    const nodes = this.removed.filter(({ role }) => role === "control-plane").map(({ name }) => name);
    return nodes.length === 0
      ? undefined
      : { kind: "dead-members", nodes, does: "removed from etcd and the cluster at once if dead" };
  }

  private cilium(): Work | undefined {
    const { config, last, isNew } = this;
    if (!isNew && (last!.release === undefined || last!.release === releaseOf(config))) return undefined;
    const { version } = config.cilium;
    const was = last?.cilium;
    const change = last && hubbleChange(config, last);
    if (change !== undefined) return { kind: "network", nodes: [], ...change };
    const what =
      was === undefined
        ? `Cilium ${version} is installed`
        : was === version
          ? "Cilium is reconfigured with the changed values"
          : `Cilium changes from ${was} to ${version}`;
    return {
      kind: "network",
      nodes: [],
      does: [what, ...hubbleWords(config, last)].join("; "),
      ...(!isNew && { disturbs: "connections through Cilium's proxies; its pods restart one after the other" }),
    };
  }

  private finalize(isBusy: boolean): Work | undefined {
    const relabelled = this.config.nodes.filter((node) => {
      const before = this.last?.members.find(({ name }) => name === node.name)?.labels;
      return !this.isJoining(node) && before !== undefined && before !== labelsOf(node);
    });
    const pool = poolChange(this.config, this.last);
    if (!isBusy && relabelled.length === 0 && pool === undefined) return undefined;
    const evicts = relabelled.some(({ taints }) => taints.some(({ effect }) => effect === "NoExecute"));
    const disturbs = [
      ...(evicts ? ["pods that do not tolerate a NoExecute taint"] : []),
      ...[pool?.disturbs ?? []].flat(),
    ];
    const does = [
      ...(relabelled.length > 0 ? ["get their labels and taints"] : []),
      ...(pool === undefined ? [] : [pool.does]),
      "wait until Cilium, the nodes and CoreDNS are ready",
    ];
    return {
      kind: "finalize",
      nodes: relabelled.map(({ name }) => name),
      does: does.join("; "),
      ...(disturbs.length > 0 && { disturbs: disturbs.join("; ") }),
    };
  }
}

/** The networks that the cluster has by its number, if it has one. */
const numberWords = ({ networkNumber, podCidr, serviceCidr }: ClusterConfig) =>
  networkNumber === undefined
    ? ""
    : `, with network.number ${networkNumber}: pods in ${podCidr}, services in ${serviceCidr}`;

const proxyWords = ({ proxy }: Pick<ClusterConfig, "proxy">) =>
  proxy === undefined ? "without the proxy" : `with the proxy at ${proxyText(proxy)}`;

/** The mirrors of a host's packages and images, and the proxy on the way to them, if any. */
function sources({ mirrors, bundle, proxy }: Pick<ClusterConfig, "mirrors" | "bundle" | "proxy">): string {
  const urls = [
    ...(bundle === undefined ? Object.values(mirrors.packages).map(({ url }) => url) : []),
    ...mirrors.registries.flatMap(({ endpoints }) => endpoints.slice(0, 1)),
  ];
  const hosts = [...new Set(urls.map(hostOf))];
  const from = hosts.length === 0 ? "" : `, from the mirrors at ${hosts.join(", ")}`;
  return proxy === undefined ? from : `${from}, through the proxy at ${proxyText(proxy)}`;
}
