/** From what a stack's config holds to what the program works with. Pure: files are read by the caller's function. */
import { z } from "zod";
import { parse } from "yaml";
import type { ReadFile, ConfigSource } from "./source";
import { contradictions } from "../components/network/cilium/values";
import { bypasses } from "../components/network/cilium/user-values";
import { unfitValues } from "../components/network/cilium/unsupported-values";
import { outOfSupport, untested } from "../components/kubernetes/compatibility";
import { today } from "../model/releases";
import { defaultTaints } from "../model/nodes";
import { requirementIds } from "../components/hosts/requirements";
import { chartProblems, hostKeyWarnings, portProblems, serverProblems } from "./rules/files-and-ports";
import { ec2Config, ec2Host } from "./schema/ec2";
import { ec2LanProblems } from "./rules/ec2-lan";
import { ec2Problems } from "./rules/ec2";
import { ConfigError, keyText, nearest, refused, unknownKey, valueText } from "../model/messages";
import { exposedSecrets } from "./plaintext-secrets";
import { lanSelection, nodeNetworkProblems } from "./rules/lan";
import { networkProblems, nodeProblems, versionProblems, warnings } from "./rules/cluster";
import { hostProfileSchema, stackSchema, type StackValues, structuredKeys } from "./schema/stack";
import {
  type ClusterConfig,
  emptyHostProfile,
  type HostProfile,
  type MirrorsConfig,
  type NodeConfig,
  type Secrets,
} from "../model/config";
import { mirrorProblems, readMirrors } from "./schema/mirrors";
import { credentialsOf } from "../components/kubernetes/registries";
import { readSecrets } from "./secrets";
import { readPolicy, routeApproval, tailnetApiProblems, tailnetWarnings } from "./rules/tailnet";

export interface LoadedConfig {
  config: ClusterConfig;
  /** In plain: to be made secret before anything else is done with them. */
  secrets: Secrets;
  /** What is allowed but unwise, a line each. */
  warnings: string[];
}

/**
 * Loads and checks the whole config. Throws a ConfigError with every problem that was found: key, value, what is allowed,
 * what to do. Secrets are never quoted.
 *
 * @param day YYYY-MM-DD, for the warnings of what is out of support.
 */
export function loadConfig(source: ConfigSource, readFile: ReadFile, day = today()): LoadedConfig {
  const problems: string[] = [];
  const unreadable = new Set<string>();
  const raw = readSource(source, problems, unreadable);
  const exposed = exposedSecrets(raw, (key) => source.isEncrypted?.(key) ?? true);
  problems.push(...exposed.values());
  const secrets = readSecrets(raw, readFile, problems);
  const hostProfile = readHostProfile(raw.hostProfile, readFile, problems);
  const policy = readPolicy(raw, readFile, problems);
  const parsed = stackSchema.safeParse(raw);
  const issues = parsed.success ? [] : parsed.error.issues;
  problems.push(
    ...issues
      .filter(({ path }) => !exposed.has(keyText(path)) && !unreadable.has(String(path[0])))
      .flatMap((issue) => issueLines(issue, raw, "")),
  );
  // What is wrong by itself is left out, so that the rest can be held against each other all the same.
  const wrong = new Set(issues.map(({ path }) => String(path[0])));
  const sound = Object.fromEntries(Object.entries(raw).filter(([key]) => !wrong.has(key)));
  const rest = parsed.success ? parsed : stackSchema.safeParse({ ...sound, nodes: sound.nodes ?? [] });
  if (!rest.success) {
    throw new ConfigError(problems);
  }
  const mirrors = readMirrors(rest.data.mirrors, readFile, problems);
  const config = clusterConfig(rest.data, hostProfile, policy, mirrors);
  const credentials = credentialsOf(secrets.registryCredentials ?? "") ?? new Map<string, string>();
  problems.push(
    ...[
      ...tailnetApiProblems(raw),
      ...nodeNetworkProblems(rest.data),
      ...ec2Problems(config, rest.data.ec2, secrets.sshPrivateKey),
      ...ec2LanProblems(rest.data),
      ...mirrorProblems(mirrors, { bundle: config.bundle, chart: config.cilium.chart, credentials }),
      ...ruleProblems(config, readFile, raw.hostProfile),
    ].filter((line) => ![...wrong].some((key) => new RegExp(`\\b${key}\\b`).test(line))),
  );
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return {
    config,
    secrets,
    warnings: [
      ...warnings(config),
      ...tailnetWarnings(raw),
      ...hostKeyWarnings(config),
      ...untested(config),
      ...outOfSupport(config, day),
    ],
  };
}

/** The problems between keys that are right by themselves. */
function ruleProblems(config: ClusterConfig, readFile: ReadFile, profile: unknown): string[] {
  return [
    ...nodeProblems(config),
    ...networkProblems(config),
    ...serverProblems(config),
    ...portProblems(config),
    ...versionProblems(config),
    ...chartProblems(config, readFile),
    ...ciliumProblems(config, config.cilium.values),
    ...ciliumProblems(config, config.hostProfile.ciliumValues, `hostProfile (${String(profile)}): ciliumValues`),
  ];
}

function ciliumProblems(config: ClusterConfig, values: Record<string, unknown>, key = "ciliumValues"): string[] {
  return [
    ...contradictions(config, values, key),
    ...bypasses(config, values, key),
    ...unfitValues(config, values, key),
  ];
}

function readSource(source: ConfigSource, problems: string[], unreadable: Set<string>): Record<string, unknown> {
  const known = Object.keys(stackSchema.shape);
  for (const key of source.keys?.() ?? []) {
    if (!known.includes(key)) {
      problems.push(unknownKey("", key, known));
    }
  }
  const raw: Record<string, unknown> = {};
  for (const key of known) {
    try {
      const value = structuredKeys.has(key) ? source.getObject(key) : source.get(key);
      raw[key] = value === "" || value === null ? undefined : value;
    } catch {
      unreadable.add(key);
      // The source's own error may quote the value.
      problems.push(`${key}: it is no JSON. Wanted: structure, as YAML in the stack's file. Correct it there.`);
    }
  }
  return raw;
}

function readHostProfile(path: unknown, readFile: ReadFile, problems: string[]): HostProfile {
  if (typeof path !== "string") {
    return emptyHostProfile;
  }
  const at = `hostProfile (${path})`;
  let content: unknown;
  try {
    content = parse(readFile(path)) ?? {};
  } catch (error) {
    problems.push(
      `hostProfile: ${valueText(path)} cannot be read (${firstLine(error)}). ` +
        "Wanted: the path of a YAML file, relative to the project. Correct the path or the file.",
    );
    return emptyHostProfile;
  }
  const parsed = hostProfileSchema.safeParse(content);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.flatMap((issue) => issueLines(issue, content, at)));
    return emptyHostProfile;
  }
  parsed.data.skipHostChecks.forEach((id, i) => {
    if (!requirementIds.includes(id)) {
      const near = nearest(id, requirementIds);
      const todo = near === undefined ? "Remove it." : `Did you mean ${near}?`;
      problems.push(refused(`${at}: skipHostChecks[${i}]`, id, requirementIds.join(", "), todo));
    }
  });
  return parsed.data;
}

/** Of a tailnet: an address that no common private network has. */
const defaultEndpoint = "10.200.0.1";

function clusterConfig(
  values: StackValues,
  hostProfile: HostProfile,
  policy: Record<string, unknown> | undefined,
  mirrors: MirrorsConfig,
): ClusterConfig {
  const ssh = { user: values.sshUser, port: values.sshPort };
  const isLan = values.nodeNetwork === "lan";
  const hasWorkers = values.nodes.some((node) => node.role === "worker");
  const nodes = values.nodes.map((node): NodeConfig => ({
    name: node.name,
    role: node.role,
    host:
      node.host.kind === "ec2"
        ? ec2Host(node.host, values.ec2)
        : { ...node.host, user: node.host.user ?? ssh.user, port: node.host.port ?? ssh.port },
    // The schema has refused every label that is no text.
    labels: node.labels as Record<string, string>,
    taints: node.taints ?? defaultTaints(node.role, hasWorkers),
    ...(isLan && { lan: lanSelection(node, values) }),
  }));
  const ec2 = ec2Config(values.ec2, values.nodeCidr);
  return {
    clusterName: values.clusterName,
    nodes,
    nodeNetwork: values.nodeNetwork,
    endpoint: { address: values.endpoint ?? defaultEndpoint, port: values.endpointPort },
    apiServerPort: isLan ? values.apiServerPort : values.endpointPort,
    podCidr: values.podCidr,
    serviceCidr: values.serviceCidr,
    podRouting: values.podRouting ?? (isLan ? "vxlan" : "native"),
    tunnelPort: values.tunnelPort,
    kubernetesVersion: values.kubernetesVersion,
    ...(values.tailscaleVersion !== undefined && { tailscaleVersion: values.tailscaleVersion }),
    ...(values.containerdVersion !== undefined && { containerdVersion: values.containerdVersion }),
    certificateRenewal: values.certificateRenewal,
    drainSeconds: values.drainSeconds,
    ...(values.restoreSnapshot !== undefined && { restoreSnapshot: values.restoreSnapshot }),
    cilium: {
      version: values.ciliumVersion,
      ...(values.ciliumChart !== undefined && { chart: values.ciliumChart }),
      values: values.ciliumValues,
    },
    tailnet: {
      loginServer: values.tailnetLoginServer,
      tag: values.tailnetTag,
      ...(values.tailnetControlPlaneTag !== undefined && { controlPlaneTag: values.tailnetControlPlaneTag }),
      mtu: values.tailnetMtu,
      api: values.tailnetApi.replace(/\/+$/, ""),
      ...(values.tailnetOauthClientId !== undefined && { oauthClientId: values.tailnetOauthClientId }),
      routeApproval: routeApproval(values),
      ...(policy !== undefined && { policy }),
    },
    ssh,
    ...(ec2 !== undefined && { ec2 }),
    ...(values.bundle !== undefined && { bundle: values.bundle }),
    mirrors,
    hostProfile,
    operatorEndpoint: values.operatorEndpoint,
    security: values.security,
    checks: values.checks,
  };
}

/** A line for each problem of one of zod's issues. Every schema's message is the text of what is allowed. */
function issueLines(issue: z.core.$ZodIssue, input: unknown, file: string): string[] {
  const inFile = (key: string) => (file === "" ? key : key === "" ? file : `${file}: ${key}`);
  const key = inFile(keyText(issue.path));
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path, input, file !== "");
    return issue.keys.map((unknown) => unknownKey(key, unknown, known));
  }
  const value = issue.path.reduce<unknown>(
    (at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part],
    input,
  );
  return [refused(key, value, issue.message, file === "" ? undefined : "Correct it in the file.")];
}

/** The keys of the strict object at a path of the stack's config or of a host profile. */
function knownKeys(path: readonly PropertyKey[], input: unknown, inProfile: boolean): string[] {
  let at: unknown = inProfile ? hostProfileSchema : stackSchema;
  let value = input;
  for (const part of path) {
    const { shape, element } = unwrap(at, value);
    at = typeof part === "number" ? element : shape?.[String(part)];
    value = (value as Record<PropertyKey, unknown> | undefined)?.[part];
  }
  return Object.keys(unwrap(at, value).shape ?? {});
}

interface Schema {
  shape?: Record<string, z.core.$ZodType>;
  element?: unknown;
  /** Of a union that is told apart by `kind`. */
  options?: Schema[];
  /** Of what is processed before it is parsed. */
  out?: Schema;
  unwrap?: () => Schema;
}

/** The object or the list inside of `.default()`, `.optional()`, a preprocessed schema and, by the value's kind, of a union. */
function unwrap(schema: unknown, value: unknown): Schema {
  let at = schema as Schema;
  while (at.shape === undefined && at.element === undefined) {
    const kind = (value as { kind?: unknown } | undefined)?.kind ?? "ssh";
    const inner = at.options?.find((one) => z.safeParse(one.shape!.kind!, kind).success) ?? at.out ?? at.unwrap?.();
    if (inner === undefined) break;
    at = inner;
  }
  return at;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
