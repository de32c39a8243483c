/**
 * The output `applied`, which a run leaves for the next preview, and how that preview reads it. A stack of an older program has less
 * of it; what is unknown counts as unchanged.
 */
import { z } from "zod";
import type { ClusterConfig, NodeConfig } from "../model/config";
import { byTodaysKeys } from "../model/renamed-keys";
import { givenKeys } from "../components/kubernetes/settings/components";
import { hubbleParts } from "../components/network/cilium/hubble";
import { ciliumValues } from "../components/network/cilium/values";
import { hasUdpGro } from "../components/network/tailnet/udp-gro";
import type { SeenHost } from "../components/kubernetes/version-warnings";
import { declaredMachine, fingerprint } from "../model/machine";
import type { Applied, AppliedNode } from "../model/outputs";
import type { HostFacts } from "../components/hosts/facts";
import { type RunningCluster, runningCluster } from "./version-skew";

const text = z.string().optional().catch(undefined);

const member: z.ZodType<AppliedNode> = z.object({
  name: z.string(),
  role: text,
  reached: text,
  identity: text,
  isPinned: z.boolean().optional().catch(undefined),
  machine: text,
  labels: text,
  kubelet: text,
  os: text,
  cgroup: z.number().optional().catch(undefined),
  containerd: text,
});

const applied: z.ZodType<Applied> = z.object({
  settings: z.record(z.string(), z.string()).optional().catch(undefined),
  software: z.record(z.string(), z.string()).optional().catch(undefined),
  release: text,
  loadBalancer: text,
  udpGro: z.boolean().optional().catch(undefined),
  hubble: text,
  kubernetesSettings: z.record(z.string(), z.string()).optional().catch(undefined),
  nodes: z.array(member).catch([]),
});

/** The running cluster, as the last complete run left it. */
export interface LastRun extends RunningCluster, Omit<Applied, "nodes"> {
  members: readonly AppliedNode[];
}

/** Settings that a running cluster cannot change, by config key, as text. */
export function fixedSettings(config: ClusterConfig): Record<string, string> {
  return {
    clusterName: config.clusterName,
    "endpoint.address": config.endpoint.address,
    "endpoint.port": `${config.endpoint.port}`,
    // In a tailnet, it is the endpoint's port.
    ...(config.nodeNetwork === "lan" && { "endpoint.apiServerPort": `${config.apiServerPort}` }),
    ...(config.endpoint.kind !== undefined && { "endpoint.kind": config.endpoint.kind }),
    "network.podCidr": config.podCidr,
    "network.serviceCidr": config.serviceCidr,
    "network.podRouting": config.podRouting,
    "tailnet.loginServer": config.tailnet.loginServer,
    "tailnet.tag": config.tailnet.tag,
    "mirrors.imageRepository": config.mirrors.imageRepository ?? "",
    // AWS would replace every machine.
    ...(config.ec2 !== undefined &&
      config.nodes.some(({ host }) => host.kind === "ec2") && {
        "ec2.region": config.ec2.region,
        "ec2.vpcId": config.ec2.given?.vpcId ?? "",
        ...(config.ec2.given === undefined && { "ec2.vpcCidr": config.ec2.vpcCidr }),
      }),
  };
}

/** Settings other than the Kubernetes version whose change upgrades nodes, by config key, as text. */
export function nodeSoftware(config: ClusterConfig): Record<string, string> {
  return {
    "tailnet.tailscaleVersion": config.tailscaleVersion ?? "",
    "kubernetes.containerdVersion": config.containerdVersion ?? "",
    bundle: config.bundle ?? "",
    // Only the first and the last mirror change containerd's own config; it reads the mirrors' files at each pull.
    "mirrors.registries": `${config.mirrors.registries.length > 0}`,
    "containerd.restrictOomScoreAdj": `${config.hostProfile.containerd.restrictOomScoreAdj}`,
    security: fingerprint([JSON.stringify(config.security)]),
    "kubernetes.certificateRenewal": config.certificateRenewal,
    // The password is not among it.
    ...(config.proxy !== undefined && { proxy: fingerprint([config.proxy]) }),
  };
}

/** Fingerprints of Kubernetes' own settings that are set, by config key. The content of files may be secret and is not among them. */
export function settingsOf({ settings }: Pick<ClusterConfig, "settings">): Record<string, string> {
  if (settings === undefined) return {};
  return Object.fromEntries(givenKeys(settings).map((key) => [`kubernetes.${key}`, fingerprint([settings[key]])]));
}

/** Of a node's own fields of KubeletConfiguration; undefined if it has none. */
export function kubeletOf({ kubelet }: Pick<NodeConfig, "kubelet">): string | undefined {
  return kubelet === undefined ? undefined : fingerprint([kubelet]);
}

/** Of everything for which nodes are upgraded or restarted, apart from Cilium's release. */
export function nodesMadeOf(config: ClusterConfig): string {
  return fingerprint([
    config.kubernetesVersion,
    nodeSoftware(config),
    settingsOf(config),
    ...config.nodes.map((node) => kubeletOf(node)),
  ]);
}

export function labelsOf({ labels, taints }: Pick<NodeConfig, "labels" | "taints">): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return fingerprint([JSON.stringify(sorted), JSON.stringify(taints.map((t) => [t.key, t.value ?? "", t.effect]))]);
}

export function releaseOf(config: ClusterConfig): string {
  const values = ciliumValues({ config, nodeCount: config.nodes.length });
  return fingerprint([
    config.cilium.chart ?? config.mirrors.charts?.url ?? "",
    config.cilium.version,
    JSON.stringify(values),
  ]);
}

/**
 * The output of a run of this config.
 *
 * @param seen each node's machine name and facts, in the order of the config.
 */
export function appliedBy(
  config: ClusterConfig,
  seen: readonly { machine: string; facts: Pick<HostFacts, "os" | "cgroup" | "containerd"> }[],
): Applied {
  const kubernetesSettings = settingsOf(config);
  return {
    settings: fixedSettings(config),
    software: nodeSoftware(config),
    release: releaseOf(config),
    ...(config.loadBalancer !== undefined && { loadBalancer: config.loadBalancer.cidr }),
    ...(hasUdpGro(config) && { udpGro: true }),
    ...(config.hubble !== undefined && { hubble: hubbleParts(config).join(" ") }),
    ...(Object.keys(kubernetesSettings).length > 0 && { kubernetesSettings }),
    nodes: config.nodes.map((node, i) => {
      const { reached, identity, hostKey } = declaredMachine(node);
      const { os, cgroup, containerd } = seen[i]!.facts;
      return {
        name: node.name,
        role: node.role,
        reached,
        identity,
        isPinned: hostKey !== undefined,
        machine: seen[i]!.machine,
        labels: labelsOf(node),
        ...(node.kubelet !== undefined && { kubelet: kubeletOf(node)! }),
        os,
        cgroup,
        containerd,
      };
    }),
  };
}

/** The last run from the stack's outputs; undefined if there was none. */
export function lastRun(outputs: { versions: unknown; nodes: unknown; applied: unknown }): LastRun | undefined {
  const running = runningCluster(outputs.versions, outputs.nodes);
  if (running === undefined) return undefined;
  const left = applied.safeParse(outputs.applied ?? {}).data;
  const byName = new Map(left?.nodes.map((node) => [node.name, node]));
  const planes = new Set(running.controlPlanes);
  return {
    ...running,
    ...(left?.settings && { settings: byTodaysKeys(left.settings) }),
    ...(left?.software && { software: byTodaysKeys(left.software) }),
    ...(left?.release !== undefined && { release: left.release }),
    ...(left?.loadBalancer !== undefined && { loadBalancer: left.loadBalancer }),
    ...(left?.udpGro !== undefined && { udpGro: left.udpGro }),
    ...(left?.hubble !== undefined && { hubble: left.hubble }),
    ...(left?.kubernetesSettings && { kubernetesSettings: left.kubernetesSettings }),
    members: (running.nodes ?? []).map((name) => ({
      ...byName.get(name),
      name,
      role: planes.has(name) ? "control-plane" : "worker",
    })),
  };
}

/** Facts of the hosts from the last run. */
export function seenHosts({ members }: Pick<LastRun, "members">): SeenHost[] {
  return members.flatMap(({ name, os, cgroup, containerd }) =>
    os === undefined || cgroup === undefined || containerd === undefined ? [] : [{ name, os, cgroup, containerd }],
  );
}
