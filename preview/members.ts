/** Which nodes join, leave and stay, from the config and the last run. */
import type { ClusterConfig, NodeConfig } from "../model/config";
import { listed } from "../model/messages";
import { problemLine } from "../model/problem";
import { allSettingsKeys, settingsProblems } from "./kubernetes-settings";
import { networkKeys, numberOf } from "../model/cluster-number";
import { fixedSettings, type LastRun, nodeSoftware } from "./last-run";
import { declaredMachine, isMade, machineName } from "../model/machine";
import { controlPlanes } from "../model/nodes";
import type { AppliedNode } from "../model/outputs";

/**
 * What happens to a node's machine. `unsure`: the run finds out whether the same machine still answers, and replaces the node if
 * not.
 */
export type MachineChange = "new" | "replaced" | "unsure" | "stays";

export function machineChange(
  node: Pick<NodeConfig, "name" | "host">,
  last: Pick<LastRun, "members"> | undefined,
): MachineChange {
  const before = last?.members.find(({ name }) => name === node.name);
  if (before === undefined) return "new";
  const { reached, identity, hostKey } = declaredMachine(node);
  if (hostKey !== undefined) {
    return before.machine === undefined || before.machine === machineName(identity, hostKey) ? "stays" : "replaced";
  }
  if (before.identity !== undefined && before.identity !== identity) return "replaced";
  // The host shows its key again.
  return (before.reached !== undefined && before.reached !== reached) || before.isPinned === true ? "unsure" : "stays";
}

/** The config with the host keys that `unsure` nodes have shown, in the order of the nodes; `undefined` for the others. */
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

/** Control planes of the last run whose machines stay at least until all new nodes have joined. */
export function survivors(nodes: readonly NodeConfig[], last: LastRun | undefined): string[] {
  return (last?.controlPlanes ?? []).filter((name) => {
    const node = nodes.find((one) => one.name === name);
    return node === undefined || machineChange(node, last) !== "replaced";
  });
}

/** Changed config keys that upgrade nodes or, if it is only `kubernetes.certificateRenewal`, restart control planes. */
export function upgradeKeys(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) return [];
  // A stack without a proxy has no such entry.
  const taken = last.software?.proxy === undefined ? {} : { proxy: "" };
  const changed = Object.entries({ ...taken, ...nodeSoftware(config) })
    .filter(([key, value]) => last.software !== undefined && (last.software[key] ?? "") !== value)
    // Without a version, the installed one stays.
    .filter(
      ([key, value]) =>
        value !== "" || !["tailnet.tailscaleVersion", "kubernetes.containerdVersion", "bundle"].includes(key),
    )
    .map(([key]) => key);
  return last.kubernetes !== undefined && last.kubernetes !== config.kubernetesVersion
    ? ["kubernetes.version", ...changed]
    : changed;
}

/** A line for each change of nodes or settings that no run can make; none for a new cluster. */
export function memberProblems(config: ClusterConfig, last: LastRun | undefined): string[] {
  if (last === undefined) return [];
  return [
    ...settingProblems(config, last),
    ...roleProblems(config, last),
    ...kindProblems(config, last),
    ...lostProblems(config, last),
    ...restoreProblems(config, last),
    ...quorumProblems(config, last),
    ...whileUpgradedProblems(config, last),
    ...settingsProblems(config, last),
  ];
}

/** What follows from the cluster's number, if it has one. */
const ofNumber: readonly string[] = Object.values(networkKeys);

function settingProblems(config: ClusterConfig, { settings = {} }: LastRun): string[] {
  const wanted = withKind(fixedSettings(config));
  const before = withKind(settings);
  const line = (path: string, got: unknown, allowed: string) =>
    problemLine({
      path,
      got,
      wrong: "cannot change in a running cluster",
      allowed,
      fix: "Set that again, or recreate the cluster: pulumi destroy, then pulumi up.",
    });
  const number = numberChange(settings, wanted);
  return [
    ...(number === undefined ? [] : [line("network.number", number.is, `${number.was}`)]),
    ...Object.keys(wanted)
      .filter((key) => number === undefined || !ofNumber.includes(key))
      .flatMap((key) =>
        before[key] === undefined || before[key] === wanted[key]
          ? []
          : line(key, wanted[key], before[key] || "no value"),
      ),
  ];
}

/** The number of the cluster before and now, if that is why its networks differ. */
function numberChange(settings: Record<string, string>, wanted: Record<string, string>) {
  const of = (all: Record<string, string>) =>
    numberOf({
      podCidr: all[networkKeys.podCidr],
      serviceCidr: all[networkKeys.serviceCidr],
      endpoint: all[networkKeys.endpoint],
    });
  const [was, is] = [of(settings), of(wanted)];
  return was === undefined || is === undefined || was === is ? undefined : { was, is };
}

/**
 * With the kind that a LAN's endpoint has if none is set. Another one would have two hosts answer for the address for a while, the
 * former one's and the new one's.
 */
function withKind(settings: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const isLan = settings["endpoint.apiServerPort"] !== undefined;
  return isLan ? { "endpoint.kind": "external", ...settings } : settings;
}

// A role cannot change in place: no stage removes a kubelet or etcd from a machine that keeps its name.
function roleProblems({ nodes }: ClusterConfig, { members }: LastRun): string[] {
  return nodes.flatMap(({ name, role }, i) => {
    const before = members.find((member) => member.name === name)?.role;
    return before === undefined || before === role
      ? []
      : problemLine({
          path: `nodes[${i}].role`,
          got: role,
          wrong: `cannot replace ${before}, the current role of ${name}`,
          fix: "Remove the node in one run, and add it with its new role in the next.",
        });
  });
}

// The engine deletes a resource of another type at the end of the run, so two machines would be the node until then.
function kindProblems({ nodes }: ClusterConfig, { members }: LastRun): string[] {
  return nodes.flatMap((node, i) => {
    const before = members.find(({ name }) => name === node.name);
    return before?.reached === undefined || isMade(before) === isMade(declaredMachine(node))
      ? []
      : problemLine({
          path: `nodes[${i}].host.kind`,
          got: node.host.kind,
          wrong: `cannot replace ${isMade(before) ? "ec2" : "ssh"}, the current kind of ${node.name}`,
          fix: "Remove the node in one run, and add it with its new host in the next.",
        });
  });
}

function lostProblems(config: ClusterConfig, last: LastRun): string[] {
  const before = last.controlPlanes ?? [];
  return before.length === 0 || config.restoreSnapshot !== undefined || survivors(config.nodes, last).length > 0
    ? []
    : [
        `nodes: this run would replace every control plane (${before.join(", ")}), and so lose the cluster. Replace fewer in one ` +
          "run. If all are lost already, set kubernetes.restoreSnapshot (docs/operate/disaster.md).",
      ];
}

// A restore beside living control planes would create a second cluster.
function restoreProblems(config: ClusterConfig, last: LastRun): string[] {
  const { stay } = changeOfControlPlanes(config, last);
  return config.restoreSnapshot === undefined || stay.length === 0
    ? []
    : [
        problemLine({
          path: "kubernetes.restoreSnapshot",
          got: config.restoreSnapshot,
          wrong: `cannot be set while the cluster has control planes (${stay.join(", ")})`,
          fix:
            "Remove it: pulumi config rm --path tailkube:kubernetes.restoreSnapshot. If all of them are lost, first give each node's " +
            "host a new identity (docs/operate/disaster.md).",
        }),
      ];
}

/** What happens to the control planes of the last run: each name is in one of the three lists. */
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
 * A replaced node's machine is cleaned, with its etcd member, before anything else happens. A removed node leaves etcd at the end,
 * while it still runs. kubeadm lets no control plane join while an etcd member does not answer.
 */
function quorumProblems(config: ClusterConfig, last: LastRun): string[] {
  const { stay, replaced, removed } = changeOfControlPlanes(config, last);
  const count = stay.length + replaced.length + removed.length;
  const majority = Math.floor(count / 2) + 1;
  const isRestored = config.restoreSnapshot !== undefined && stay.length === 0;
  // If all are replaced, lostProblems reports it.
  if (isRestored || count === replaced.length) return [];
  const lost = [...replaced, ...removed];
  const verb = removed.length === 0 ? "replace" : replaced.length === 0 ? "remove" : "replace or remove";
  const isReplacementFatal = replaced.length > 1 || (replaced.length === 1 && count - 1 < majority);
  if (!isReplacementFatal && lost.length < majority) return [];
  const why = `this run would ${verb} ${listed(lost)}, but etcd always needs ${majority} of its ${count} members (${listed(last.controlPlanes ?? [])})`;
  const todo =
    count <= 2
      ? `Add ${count === 1 ? "a second" : "a third"} control plane and run pulumi up, then ${verb} ${lost[0]!}` +
        (lost.length > 1 ? ` and run it again, then ${lost[1]!}.` : ".")
      : `${verb[0]!.toUpperCase()}${verb.slice(1)} ${lost[0]!} and run pulumi up, then ${lost.slice(1).join(", then ")}, each in a separate run.`;
  return [
    `nodes: ${why}. One run may replace one control plane, and replace or remove fewer than ${majority}. ${todo} ` +
      "If they are lost already, see docs/operate/disaster.md.",
  ];
}

/**
 * A joining node must not be newer than the API servers and needs one of them, so the only control plane must not restart meanwhile.
 * (version-changes.ts rejects new nodes during an upgrade of Kubernetes.)
 */
function whileUpgradedProblems(config: ClusterConfig, last: LastRun): string[] {
  const keys = [...upgradeKeys(config, last), ...allSettingsKeys(config, last)];
  const isKubernetes = keys[0] === "kubernetes.version";
  const [only, ...others] = survivors(config.nodes, last);
  const restartsOnly =
    keys.length > 0 && others.length === 0 && controlPlanes(config.nodes).some(({ name }) => name === only);
  return config.nodes.flatMap((node, i) => {
    const change = machineChange(node, last);
    if (change === "replaced" && isKubernetes) {
      return problemLine({
        path: `nodes[${i}].name`,
        got: node.name,
        wrong: `cannot be replaced while the cluster is upgraded from Kubernetes ${last.kubernetes} to ${config.kubernetesVersion}`,
        fix: "Replace it before or after the upgrade. If it is lost, remove it now and add it again afterwards.",
      });
    }
    return (change === "new" || change === "replaced") && restartsOnly && !isKubernetes
      ? problemLine({
          path: `nodes[${i}].name`,
          got: node.name,
          wrong: `cannot join while ${only}, the only control plane, restarts because of a changed ${keys.join(" and ")}`,
          fix: "Make the two changes in separate runs.",
        })
      : [];
  });
}
