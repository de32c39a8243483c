/** Which nodes come, go and stay, by the config and the last run. */
import type { ClusterConfig, NodeConfig } from "../model/config";
import { refused } from "../model/problem";
import { fixedSettings, type LastRun, nodeSoftware } from "./last-run";
import { declaredMachine, isMade, machineName } from "../model/machine";
import { controlPlanes } from "../model/nodes";
import type { AppliedNode } from "../model/outputs";

/**
 * What becomes of a node's machine. `unsure`: whether the same one answers is known when it has been asked; if not, the node
 * is replaced.
 */
export type MachineChange = "new" | "replaced" | "unsure" | "stays";

export function machineChange(
  node: Pick<NodeConfig, "name" | "host">,
  last: Pick<LastRun, "members"> | undefined,
): MachineChange {
  const before = last?.members.find(({ name }) => name === node.name);
  if (before === undefined) {
    return "new";
  }
  const { reached, identity, hostKey } = declaredMachine(node);
  if (hostKey !== undefined) {
    return before.machine === undefined || before.machine === machineName(identity, hostKey) ? "stays" : "replaced";
  }
  if (before.identity !== undefined && before.identity !== identity) {
    return "replaced";
  }
  // The host key is asked for anew.
  return (before.reached !== undefined && before.reached !== reached) || before.isPinned === true ? "unsure" : "stays";
}

/** The config with the host keys that have been found, for `unsure` nodes to be known; by the order of its nodes, `undefined` for others. */
export function withHostKeys(config: ClusterConfig, found: readonly (string | undefined)[]): ClusterConfig {
  const nodes = config.nodes.map((node, i) =>
    node.host.kind === "ssh" && node.host.hostKey === undefined && found[i] !== undefined
      ? { ...node, host: { ...node.host, hostKey: found[i] } }
      : node,
  );
  return { ...config, nodes };
}

/** Members that are no longer declared. */
export function removedNodes(nodes: readonly NodeConfig[], last: LastRun | undefined): AppliedNode[] {
  return (last?.members ?? []).filter(({ name }) => !nodes.some((node) => node.name === name));
}

/** Control planes of the last run whose machines are there at least until all that joins has joined. */
export function survivors(nodes: readonly NodeConfig[], last: LastRun | undefined): string[] {
  return (last?.controlPlanes ?? []).filter((name) => {
    const node = nodes.find((one) => one.name === name);
    return node === undefined || machineChange(node, last) !== "replaced";
  });
}

/** Config keys for which nodes that have joined are upgraded or, for `kubernetes.certificateRenewal` alone, control planes restarted. */
export function upgradeKeys(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) {
    return [];
  }
  const changed = Object.entries(nodeSoftware(config))
    .filter(([key, value]) => last.software !== undefined && (last.software[key] ?? "") !== value)
    // Without a version, what is installed stays.
    .filter(
      ([key, value]) =>
        value !== "" || !["tailnet.tailscaleVersion", "kubernetes.containerdVersion", "bundle"].includes(key),
    )
    .map(([key]) => key);
  return last.kubernetes !== undefined && last.kubernetes !== config.kubernetesVersion
    ? ["kubernetes.version", ...changed]
    : changed;
}

/** A line for each change of members, or of what they are, that no run can make; none for a cluster that is still to be made. */
export function memberProblems(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) {
    return [];
  }
  return [
    ...settingProblems(config, last),
    ...roleProblems(config, last),
    ...kindProblems(config, last),
    ...lostProblems(config, last),
    ...restoreProblems(config, last),
    ...quorumProblems(config, last),
    ...whileUpgradedProblems(config, last),
  ];
}

function settingProblems(config: ClusterConfig, { settings = {} }: LastRun): string[] {
  const wanted = fixedSettings(config);
  return Object.keys(wanted).flatMap((key) =>
    settings[key] === undefined || settings[key] === wanted[key]
      ? []
      : refused(
          key,
          wanted[key],
          `${settings[key]}, with which the cluster was made`,
          "Set that again, or make the cluster anew: pulumi destroy, then pulumi up.",
        ),
  );
}

// Nobody takes a worker's kubelet or a control plane's etcd off a machine that keeps its name.
function roleProblems({ nodes }: ClusterConfig, { members }: LastRun): string[] {
  return nodes.flatMap(({ name, role }, i) => {
    const before = members.find((member) => member.name === name)?.role;
    return before === undefined || before === role
      ? []
      : refused(
          `nodes[${i}].role`,
          role,
          `${before}, as ${name} is one`,
          "Remove the node in one run, and add it with its new role in the next.",
        );
  });
}

// The engine deletes what a name was of another kind at the end: two machines would be the node until then.
function kindProblems({ nodes }: ClusterConfig, { members }: LastRun): string[] {
  return nodes.flatMap((node, i) => {
    const before = members.find(({ name }) => name === node.name);
    return before?.reached === undefined || isMade(before) === isMade(declaredMachine(node))
      ? []
      : refused(
          `nodes[${i}].host.kind`,
          node.host.kind,
          `${isMade(before) ? "ec2" : "ssh"}, as ${node.name} is one`,
          "Remove the node in one run, and add it with its new host in the next.",
        );
  });
}

function lostProblems(config: ClusterConfig, last: LastRun): string[] {
  const before = last.controlPlanes ?? [];
  return before.length === 0 || config.restoreSnapshot !== undefined || survivors(config.nodes, last).length > 0
    ? []
    : [
        `nodes: every control plane (${before.join(", ")}) would be replaced by another machine, and the cluster with them. Allowed: ` +
          "at least one that stays. Replace fewer in one run; if they are lost already, set kubernetes.restoreSnapshot (docs/operate/disaster.md).",
      ];
}

// A control plane that inits a cluster from the snapshot would do so beside those that live.
function restoreProblems(config: ClusterConfig, last: LastRun): string[] {
  const { stay } = changeOfControlPlanes(config, last);
  return config.restoreSnapshot === undefined || stay.length === 0
    ? []
    : [
        refused(
          "kubernetes.restoreSnapshot",
          config.restoreSnapshot,
          `no value while a control plane of the cluster stays (${stay.join(", ")})`,
          "Remove it: pulumi config rm --path tailkube:kubernetes.restoreSnapshot. If they are all lost, give each node's host a new identity first (docs/operate/disaster.md).",
        ),
      ];
}

/** What becomes of the control planes of the last run: each of their names is in one of the three. */
function changeOfControlPlanes({ nodes }: ClusterConfig, last: LastRun) {
  const before = last.controlPlanes ?? [];
  const declared = new Map(controlPlanes(nodes).map((node) => [node.name, node]));
  const isReplaced = (name: string) => declared.has(name) && machineChange(declared.get(name)!, last) === "replaced";
  return {
    stay: before.filter((name) => declared.has(name) && !isReplaced(name)),
    replaced: before.filter(isReplaced),
    removed: before.filter((name) => !declared.has(name)),
  };
}

/**
 * The machine behind a replaced node is cleaned, with its member of etcd, before anything else happens; a removed node leaves
 * etcd at the end, while it still runs. kubeadm lets no control plane join while another member does not answer.
 */
function quorumProblems(config: ClusterConfig, last: LastRun): string[] {
  const { stay, replaced, removed } = changeOfControlPlanes(config, last);
  const count = stay.length + replaced.length + removed.length;
  const majority = Math.floor(count / 2) + 1;
  const isFounding = config.restoreSnapshot !== undefined && stay.length === 0;
  if (isFounding || count === replaced.length) {
    // From a snapshot, or refused as a whole by lostProblems.
    return [];
  }
  const lost = [...replaced, ...removed];
  const verb = removed.length === 0 ? "replace" : replaced.length === 0 ? "remove" : "replace or remove";
  const isReplacementFatal = replaced.length > 1 || (replaced.length === 1 && count - 1 < majority);
  if (!isReplacementFatal && lost.length < majority) {
    return [];
  }
  const why = `this run would ${verb} ${listed(lost)}, and etcd needs ${majority} of its ${count} members (${listed(last.controlPlanes ?? [])}) at any time`;
  const todo =
    count <= 2
      ? `Add ${count === 1 ? "a second" : "a third"} control plane and run pulumi up, then ${verb} ${lost[0]!}` +
        (lost.length > 1 ? ` and run it again, then ${lost[1]!}.` : ".")
      : `${verb[0]!.toUpperCase()}${verb.slice(1)} ${lost[0]!} and run pulumi up, then ${lost.slice(1).join(", then ")}, each in a run of its own.`;
  return [
    `nodes: ${why}. Allowed: one control plane replaced in a run, and fewer than ${majority} replaced or removed. ${todo} ` +
      "If they are lost already, see docs/operate/disaster.md.",
  ];
}

const listed = (names: readonly string[]) =>
  names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]!}`;

/**
 * Who joins must not be ahead of the API servers, and needs one: the only control plane may not be restarted meanwhile.
 * (New nodes while Kubernetes is upgraded are upgrade.ts's.)
 */
function whileUpgradedProblems(config: ClusterConfig, last: LastRun): string[] {
  const keys = upgradeKeys(config, last);
  const isKubernetes = keys[0] === "kubernetes.version";
  const [only, ...others] = survivors(config.nodes, last);
  const restartsOnly =
    keys.length > 0 && others.length === 0 && controlPlanes(config.nodes).some(({ name }) => name === only);
  return config.nodes.flatMap((node, i) => {
    const change = machineChange(node, last);
    if (change === "replaced" && isKubernetes) {
      return refused(
        `nodes[${i}].name`,
        node.name,
        `a node that is not replaced while the cluster goes from Kubernetes ${last.kubernetes} to ${config.kubernetesVersion}`,
        "Replace it before or after; if it is lost, remove it now and add it again after.",
      );
    }
    return (change === "new" || change === "replaced") && restartsOnly && !isKubernetes
      ? refused(
          `nodes[${i}].name`,
          node.name,
          `a node that does not join while ${only}, the only control plane, is restarted for a changed ${keys.join(" and ")}`,
          "Do one of the two in a run of its own.",
        )
      : [];
  });
}
