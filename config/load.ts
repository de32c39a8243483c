/** Turns a stack's config into what the program works with. Pure: the caller's function reads files. */
import { parse } from "yaml";
import type { ReadFile, ConfigSource } from "./source";
import { pinnedValueConflicts } from "../components/network/cilium/values";
import { bypasses } from "../components/network/cilium/user-values";
import { unsupportedValues } from "../components/network/cilium/unsupported-values";
import { outOfSupport, versionWarnings } from "../components/kubernetes/version-warnings";
import { today } from "../model/releases";
import { defaultTaints } from "../model/nodes";
import { requirementIds } from "../components/hosts/host-requirements";
import { chartProblems, hostKeyWarnings, portProblems, serverProblems } from "./rules/files-and-ports";
import { ec2Config, ec2Host } from "./schema/ec2";
import { ec2LanProblems } from "./rules/ec2-lan";
import { ec2Problems } from "./rules/ec2";
import { keyText } from "../model/messages";
import { nearest, pathOf, type Problem, unknownKey } from "../model/problem";
import { exposedSecrets } from "./plaintext-secrets";
import { Findings } from "./findings";
import { lanSelection, nodeNetworkProblems } from "./rules/lan";
import { extraFileContents, kubernetesSettings } from "./kubernetes-settings";
import { kubernetesSettingsProblems } from "./rules/kubernetes-settings";
import { hubbleProblems } from "./rules/hubble";
import { loadBalancerProblems } from "./rules/load-balancer";
import { vipProblems } from "./rules/vip";
import { mirrorProblems } from "./rules/mirrors";
import { proxyProblems } from "./rules/proxy";
import { nodeProblems, podCidrProblems, versionProblems, warnings } from "./rules/cluster";
import { overlapProblems } from "./rules/overlapping-networks";
import { networksOf } from "./networks";
import { clusterNumberProblems, clusterNumberWarnings } from "./rules/cluster-number";
import { meantKey, parseSound } from "./parse";
import { movedKeys, nearestKey } from "./moved-keys";
import type { Given, Rule } from "./rules/rule";
import { hostProfileSchema } from "./schema/host-profile";
import { stackSchema, type StackValues, structuredKeys } from "./schema/stack";
import {
  type ClusterConfig,
  emptyHostProfile,
  type HostProfile,
  type MirrorsConfig,
  type NodeConfig,
  type Secrets,
  type SshHostConfig,
} from "../model/config";
import { readMirrors } from "./schema/mirrors";
import { proxyConfig } from "./schema/proxy";
import { type Operator, thisMachine } from "./operator";
import { readSecrets } from "./secrets";
import { type ReachedHosts, reachedHosts, sshConfig, sshProblems } from "./ssh";
import { readPolicy, routeApproval, tailnetApiProblems, tailnetOnlyProblems, tailnetWarnings } from "./rules/tailnet";

export interface LoadedConfig {
  config: ClusterConfig;
  /** Unencrypted: the caller must turn them into secret outputs first. */
  secrets: Secrets;
  /** A line for each setting that is allowed but unwise. */
  warnings: string[];
}

/** Rules between keys that are valid by themselves. */
const rules: readonly Rule[] = [
  tailnetApiProblems,
  tailnetOnlyProblems,
  nodeNetworkProblems,
  vipProblems,
  ec2Problems,
  ec2LanProblems,
  mirrorProblems,
  proxyProblems,
  nodeProblems,
  clusterNumberProblems,
  overlapProblems,
  loadBalancerProblems,
  hubbleProblems,
  podCidrProblems,
  serverProblems,
  portProblems,
  versionProblems,
  chartProblems,
  ciliumProblems,
  kubernetesSettingsProblems,
];

/**
 * Loads and checks the whole config. Throws a ConfigError with every problem. Secrets are never quoted.
 *
 * @param day YYYY-MM-DD, for the warnings about unsupported versions.
 */
export function loadConfig(
  source: ConfigSource,
  readFile: ReadFile,
  day = today(),
  operator: Operator = thisMachine,
): LoadedConfig {
  const findings = new Findings();
  const { raw, written } = readSource(source, findings);
  const exposed = exposedSecrets(written, (key) => source.isEncrypted?.(key) ?? true);
  findings.add([...exposed.values()]);
  const { values, problems, wrong } = parseSound(stackSchema, raw);
  findings.addWrong(
    problems.filter(({ path }) => !exposed.has(keyText(pathOf(path)))),
    wrong,
  );
  const ofFiles: Problem[] = [];
  const reached = reachedHosts(values, readFile, operator, ofFiles);
  const extraFiles = extraFileContents(values);
  const secrets = {
    ...readSecrets(values, readFile, ofFiles, reached),
    ...(Object.keys(extraFiles).length > 0 && { extraFiles }),
  };
  const policy = readPolicy(values, readFile, ofFiles);
  const mirrors = readMirrors(values.mirrors, readFile, ofFiles);
  findings.addWrong(ofFiles);
  const hostProfile = readHostProfile(values.hostProfile, readFile, findings);
  const config = clusterConfig(values, hostProfile, policy, mirrors, sshConfig(values, reached, secrets));
  findings.add(sshProblems(values, secrets, operator));
  findings.add(rules.flatMap((rule) => rule({ config, values, secrets, readFile })));
  findings.throwAny();
  return {
    config,
    secrets,
    warnings: [
      ...warnings(config),
      ...tailnetWarnings(values),
      ...clusterNumberWarnings(values),
      ...hostKeyWarnings(config),
      ...versionWarnings(config),
      ...outOfSupport(config, day),
    ],
  };
}

function ciliumProblems({ config, values }: Given): Problem[] {
  const ofProfile = { path: ["hostProfile", "ciliumValues"], file: values.hostProfile };
  return [
    { values: config.cilium.values, path: ["cilium", "values"] },
    { values: config.hostProfile.ciliumValues, ...ofProfile },
  ].flatMap((given) => [
    ...pinnedValueConflicts(config, given),
    ...bypasses(config, given),
    ...unsupportedValues(config, given),
  ]);
}

/** What the source has under known keys: `written` as it is, `raw` without keys that have moved. */
function readSource(source: ConfigSource, findings: Findings): Record<"raw" | "written", Record<string, unknown>> {
  const known = Object.keys(stackSchema.shape);
  const raw: Record<string, unknown> = {};
  const isText = new Set<string>();
  for (const key of known) {
    try {
      const value = structuredKeys.has(key) ? source.getObject(key) : source.get(key);
      raw[key] = value === "" || value === null ? undefined : value;
    } catch {
      isText.add(key);
    }
  }
  const written = { ...raw };
  const keys = source.keys?.() ?? [];
  const moved = movedKeys(keys, raw, isText);
  findings.addWrong(
    moved.map(({ problem }) => problem),
    moved.map(({ now }) => now),
  );
  // The source's own error may quote the value.
  const allowed = "a list or an object, as YAML in the stack's file";
  findings.addWrong(
    [...isText].map((key) => ({ path: [key], wrong: "it is not valid JSON", allowed, fix: "Correct it there." })),
  );
  const unknown = keys.filter((key) => !known.includes(key) && !moved.some(({ was }) => was === key));
  findings.addWrong(
    unknown.map((key) => unknownKey([key], known, nearestKey(key, known))),
    unknown.map((key) => meantKey([key], nearestKey(key, known), raw)).filter((path) => path !== undefined),
  );
  return { raw, written };
}

function readHostProfile(path: string | undefined, readFile: ReadFile, findings: Findings): HostProfile {
  if (path === undefined) return emptyHostProfile;
  let content: unknown;
  try {
    content = parse(readFile(path)) ?? {};
  } catch (error) {
    findings.addWrong([
      {
        path: "hostProfile",
        got: path,
        wrong: `cannot be read (${firstLine(error)})`,
        allowed: "the path of a YAML file, relative to the project",
        fix: "Correct the path or the file.",
      },
    ]);
    return emptyHostProfile;
  }
  const { values, problems, wrong } = parseSound(hostProfileSchema, content, { key: "hostProfile", path });
  findings.addWrong(problems, wrong);
  values.skipHostChecks.forEach((id, i) => {
    if (requirementIds.includes(id)) return;
    const near = nearest(id, requirementIds);
    const fix = near === undefined ? "Remove it." : `Did you mean ${near}?`;
    const key = ["hostProfile", "skipHostChecks", i];
    findings.add([{ path: key, file: path, got: id, allowed: requirementIds.join(", "), fix }]);
  });
  return values;
}

function clusterConfig(
  values: StackValues,
  hostProfile: HostProfile,
  policy: Record<string, unknown> | undefined,
  mirrors: MirrorsConfig,
  { ssh, hosts }: ReturnType<typeof sshConfig>,
): ClusterConfig {
  const { endpoint, network, loadBalancer, kubernetes, cilium, hubble, tailnet } = values;
  const isLan = values.nodeNetwork === "lan";
  const hasWorkers = values.nodes.some((node) => node.role === "worker");
  const nodes = values.nodes.map((node, i): NodeConfig => ({
    name: node.name,
    role: node.role,
    host: node.host.kind === "ec2" ? ec2Host(node.host, values.ec2) : bareHost(node.host, hosts[i]!),
    // The schema rejects labels that are not text.
    labels: node.labels as Record<string, string>,
    taints: node.taints ?? defaultTaints(node.role, hasWorkers),
    ...(Object.keys(node.kubelet).length > 0 && { kubelet: node.kubelet }),
    ...(isLan && { lan: lanSelection(node, values) }),
  }));
  const own = networksOf(values);
  const ec2 = ec2Config(values.ec2, values.lan.cidr);
  const proxy = proxyConfig(values.proxy);
  const settings = kubernetesSettings(values);
  return {
    clusterName: values.clusterName,
    nodes,
    nodeNetwork: values.nodeNetwork,
    endpoint: {
      address: own.endpoint,
      port: endpoint.port,
      ...(endpoint.kind === "vip" && { kind: endpoint.kind }),
    },
    apiServerPort: isLan && endpoint.kind !== "vip" ? endpoint.apiServerPort : endpoint.port,
    ...(network.number > 0 && { networkNumber: network.number }),
    podCidr: own.podCidr,
    serviceCidr: own.serviceCidr,
    ...(loadBalancer.cidr !== undefined && { loadBalancer: { cidr: loadBalancer.cidr } }),
    ...(hubble.relay && { hubble: { ui: hubble.ui } }),
    podRouting: network.podRouting ?? (isLan ? "vxlan" : "native"),
    tunnelPort: network.tunnelPort,
    kubernetesVersion: kubernetes.version,
    ...(tailnet.tailscaleVersion !== undefined && { tailscaleVersion: tailnet.tailscaleVersion }),
    ...(kubernetes.containerdVersion !== undefined && { containerdVersion: kubernetes.containerdVersion }),
    certificateRenewal: kubernetes.certificateRenewal,
    maxUnavailableWorkers: kubernetes.maxUnavailableWorkers,
    drainSeconds: kubernetes.drainSeconds,
    ...(kubernetes.restoreSnapshot !== undefined && { restoreSnapshot: kubernetes.restoreSnapshot }),
    ...(settings !== undefined && { settings }),
    cilium: {
      version: cilium.version,
      ...(cilium.chart !== undefined && { chart: cilium.chart }),
      values: cilium.values,
    },
    tailnet: {
      loginServer: tailnet.loginServer,
      tag: tailnet.tag,
      ...(tailnet.controlPlaneTag !== undefined && { controlPlaneTag: tailnet.controlPlaneTag }),
      mtu: tailnet.mtu,
      ...(tailnet.udpGroForwarding && { udpGroForwarding: true }),
      api: tailnet.api.replace(/\/+$/, ""),
      ...(tailnet.oauthClientId !== undefined && { oauthClientId: tailnet.oauthClientId }),
      routeApproval: routeApproval(values),
      ...(policy !== undefined && { policy }),
    },
    ssh,
    ...(ec2 !== undefined && { ec2 }),
    ...(values.bundle !== undefined && { bundle: values.bundle }),
    mirrors,
    ...(proxy !== undefined && { proxy }),
    hostProfile,
    operatorEndpoint: values.operatorEndpoint,
    security: values.security,
    checks: values.checks,
  };
}

type SshHostValues = Extract<StackValues["nodes"][number]["host"], { kind: "ssh" }>;

function bareHost(
  { kind, hostKey, identity }: SshHostValues,
  reached: NonNullable<ReachedHosts[number]>,
): SshHostConfig {
  return { kind, ...reached, ...(hostKey !== undefined && { hostKey }), ...(identity !== undefined && { identity }) };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
