/**
 * What a run will do to which node, in which order: components/cluster/cluster.ts's order, foretold from the config and the last
 * complete run. Steps that would find everything as it is are left out.
 */
import type { ClusterConfig, NodeConfig } from "../model/config";
import { type LastRun, labelsOf, releaseOf } from "./last-run";
import { declaredMachine, isMade } from "../model/machine";
import { type Fate, fateOf, leavers, survivors, upgradeKeys } from "./members";
import { controlPlanes, workers } from "../model/nodes";
import { nodePlans, type Plan, type Step } from "./plan";
import { hostOf } from "../components/kubernetes/registries";

/** The plan of a run. `last` is undefined for a cluster that is still to be made. */
export function planOf(config: ClusterConfig, last: LastRun | undefined): Plan {
  const steps: Step[] = [];
  const add = (step: Step) => {
    // Hosts are looked at before anything is set up or changed; only old machines are cleaned meanwhile.
    const waits = step.after.length > 0 || step.kind === "clean" ? step : { ...step, after: [...hosts] };
    steps.push(waits);
    return waits;
  };
  const hosts: Step[] = [];
  const fates = new Map<string, Fate>(config.nodes.map((node) => [node.name, fateOf(node, last)]));
  const isJoining = ({ name }: { name: string }) => ["new", "replaced"].includes(fates.get(name)!);
  const joining = config.nodes.filter(isJoining);
  const leaving = leavers(config.nodes, last);
  // There the endpoint is somebody else's to keep.
  const isLan = config.nodeNetwork === "lan";
  const endpoint = `${config.endpoint.address}:${config.endpoint.port}`;

  const isMachineMade = (node: NodeConfig) => isMade(declaredMachine(node));
  const isReplaced = ({ name }: { name: string }) => fates.get(name) === "replaced";
  const made = [false, true].flatMap((again) => {
    const names = joining.filter((node) => isMachineMade(node) && isReplaced(node) === again).map(({ name }) => name);
    return names.length === 0 ? [] : [add(makeStep(names, again))];
  });
  // Machines that are made are looked at later than those that are there.
  const checks = [false, true].flatMap((late) => {
    const names = joining.filter((node) => isMachineMade(node) === late).map(({ name }) => name);
    return names.length === 0 ? [] : [add(checkStep(names, late ? made : []))];
  });
  hosts.push(...checks);
  const cleaned = new Map<string, Step>();
  for (const { name } of joining.filter((node) => isReplaced(node) && !isMachineMade(node))) {
    cleaned.set(
      name,
      add({
        kind: "clean",
        nodes: [name],
        resource: `${name}-undo`,
        after: [],
        does: "the machine that was it is cleaned, if it still answers",
        disturbs: "its pods, which are not drained",
      }),
    );
  }
  const prepared = new Map<string, Step>();
  for (const { name } of joining) {
    const old = cleaned.get(name);
    prepared.set(
      name,
      add({
        kind: "prepare",
        nodes: [name],
        resource: `${name}-runtime`,
        after: old === undefined ? hosts : [...hosts, old],
        does: `gets ${isLan ? "" : "the tailnet, "}containerd and kubelet${sources(config)}`,
      }),
    );
  }

  const keys = upgradeKeys(config, last);
  const isUpgrade = keys.some((key) => key !== "kubernetes.certificateRenewal");
  const upgrade = (node: NodeConfig, after: readonly Step[]): Step | undefined => {
    if (isJoining(node) || keys.length === 0 || (!isUpgrade && node.role === "worker")) {
      return undefined;
    }
    return add(
      isUpgrade
        ? upgradeStep(config, last!, keys, node, after)
        : {
            kind: "restart",
            nodes: [node.name],
            resource: `${node.name}-upgrade`,
            after,
            does: "gets new certificates, and its static pods are restarted",
            disturbs: "clients of its API server, which go to another control plane if there is one",
          },
    );
  };

  // One control plane after the other; everything else starts with the first of them.
  const planes: Step[] = [];
  let first: Step | undefined;
  const founds = survivors(config.nodes, last).length === 0;
  controlPlanes(config.nodes).forEach((node, i) => {
    if (isJoining(node)) {
      const isFounder = i === 0 && founds;
      const after = [prepared.get(node.name)!, ...planes];
      const joined = add({
        kind: isFounder ? "found" : "join",
        nodes: [node.name],
        resource: `${node.name}-control-plane`,
        after,
        does: isFounder
          ? `founds the cluster${config.restoreSnapshot === undefined ? "" : ` from ${config.restoreSnapshot}`}${isLan ? "" : `; the endpoint ${endpoint} is on it`}`
          : `joins as a control plane through ${endpoint}${isLan ? "" : ", and then has the endpoint, too"}`,
      });
      planes.push(joined);
      if (i === 0) first = joined;
    }
    const dead = leaving.filter(({ role }) => role === "control-plane").map(({ name }) => name);
    const upgraded = upgrade(node, [...planes]);
    if (i === 0 && dead.length > 0) {
      planes.push(
        add({
          kind: "bury",
          nodes: dead,
          resource: "cluster-departures",
          after: first === undefined ? [] : [first],
          does: "taken out of etcd and the cluster at once if dead",
        }),
      );
    }
    if (upgraded !== undefined) planes.push(upgraded);
  });

  const start = first === undefined ? [] : [first];
  const done: Step[] = [...planes];
  // The admission, for which no worker's upgrade is too early, knows the joining ones by what their hosts have said.
  let previous: readonly Step[] = [...planes, ...workers(config.nodes).flatMap(({ name }) => prepared.get(name) ?? [])];
  for (const node of workers(config.nodes)) {
    const joined = isJoining(node)
      ? add({
          kind: "join",
          nodes: [node.name],
          resource: `${node.name}-join`,
          after: [prepared.get(node.name)!, ...start],
          does: `joins as a worker through ${endpoint}`,
        })
      : undefined;
    const own = joined === undefined ? [] : [joined];
    const upgraded = upgrade(node, [...previous, ...own]);
    // Whoever is upgraded later waits for this one, too.
    previous = upgraded === undefined ? [...previous, ...own] : [upgraded];
    done.push(...own, ...(upgraded === undefined ? [] : [upgraded]));
  }

  const isNew = last === undefined;
  if (isNew || (last.release !== undefined && last.release !== releaseOf(config))) {
    const was = last?.cilium;
    done.push(
      add({
        kind: "network",
        nodes: [],
        resource: "cilium-release",
        after: start,
        does:
          was === undefined
            ? `Cilium ${config.cilium.version} is installed`
            : was === config.cilium.version
              ? "Cilium gets its changed values"
              : `Cilium goes from ${was} to ${config.cilium.version}`,
        ...(!isNew && { disturbs: "connections through Cilium's proxies; its pods restart one after the other" }),
      }),
    );
  }

  const relabelled = config.nodes.filter((node) => {
    const before = last?.members.find(({ name }) => name === node.name)?.labels;
    return !isJoining(node) && before !== undefined && before !== labelsOf(node);
  });
  let left: readonly Step[] = done;
  for (const { name } of leaving) {
    left = [
      add({
        kind: "leave",
        nodes: [name],
        resource: "cluster-settle",
        after: left,
        does: `${config.drainSeconds > 0 ? "is drained, if it is Ready, and " : ""}leaves the cluster`,
        disturbs: config.drainSeconds > 0 ? "its pods, which are evicted" : "its pods, which are not drained",
      }),
    ];
  }
  const isSettled = done.length > 0 || leaving.length > 0;
  if (isSettled || relabelled.length > 0) {
    const settled = add({
      kind: "settle",
      nodes: relabelled.map(({ name }) => name),
      resource: "cluster-settle",
      after: left,
      does: `${relabelled.length > 0 ? "get their labels and taints; " : ""}Cilium, the nodes and CoreDNS are waited for`,
      ...(relabelled.some(({ taints }) => taints.some(({ effect }) => effect === "NoExecute")) && {
        disturbs: "pods that do not tolerate a NoExecute taint",
      }),
    });
    const tested =
      config.checks && isSettled
        ? add({ kind: "test", nodes: [], resource: "cluster-checks", after: [settled], does: "the cluster is checked" })
        : settled;
    // The engine deletes what is declared no more at the very end.
    for (const member of leaving) {
      add({
        kind: "clean",
        nodes: [member.name],
        resource: `${member.name}-${isMade(member) ? "instance" : "undo"}`,
        after: [tested],
        does: isMade(member) ? "its machine on EC2 is terminated" : "its host is cleaned, if it answers",
      });
    }
  }

  return { isNew, steps, nodes: nodePlans(config, last, fates, steps) };
}

function makeStep(nodes: readonly string[], again: boolean): Step {
  return {
    kind: "make",
    nodes,
    resource: `${nodes[0]!}-instance`,
    after: [],
    does: again
      ? "its machine on EC2 is terminated, with what is on it, and a new one is made"
      : "its machine on EC2 is made",
    ...(again && { disturbs: "its pods, which are not drained" }),
  };
}

function checkStep(nodes: readonly string[], after: readonly Step[]): Step {
  return {
    kind: "check",
    nodes,
    resource: `${nodes[0]!}-facts`,
    after,
    does: "host key and requirements are looked at; nothing is set up before all of them are fit",
  };
}

function upgradeStep(
  config: ClusterConfig,
  last: LastRun,
  keys: readonly string[],
  { name, role }: NodeConfig,
  after: readonly Step[],
): Step {
  // As NodeVersion has it: the only node has nowhere to send its pods to.
  const isDrained = config.nodes.length > 1 && config.drainSeconds > 0;
  const what =
    keys[0] === "kubernetes.version"
      ? `goes from Kubernetes ${last.kubernetes} to ${config.kubernetesVersion}`
      : `is upgraded for ${keys.filter((key) => key !== "kubernetes.certificateRenewal").join(" and ")}, unless it is so already`;
  return {
    kind: "upgrade",
    nodes: [name],
    resource: `${name}-upgrade`,
    after,
    does: `${isDrained ? "is drained, " : ""}${what}, and is restarted`,
    disturbs:
      (isDrained ? "its pods, which are evicted" : "its pods, which stay on it") +
      (role === "control-plane" ? "; clients of its API server" : ""),
  };
}

/** Where a host's packages and images come from, if not from the official places. */
function sources({ mirrors, bundle }: Pick<ClusterConfig, "mirrors" | "bundle">): string {
  const urls = [
    ...(bundle === undefined ? Object.values(mirrors.packages).map(({ url }) => url) : []),
    ...mirrors.registries.flatMap(({ endpoints }) => endpoints.slice(0, 1)),
  ];
  const hosts = [...new Set(urls.map(hostOf))];
  return hosts.length === 0 ? "" : `, from the mirrors at ${hosts.join(", ")}`;
}
