/** From what a stack's config holds to what the program works with. Pure: files are read by the caller's function. */
import { z } from "zod";
import { parse } from "yaml";
import { contradictions } from "../plan/cilium";
import { defaultTaints } from "../plan/nodes";
import { requirementIds } from "../plan/requirements";
import { ec2Config, ec2Host } from "./ec2";
import { ec2Problems } from "./ec2-rules";
import { ConfigError, keyText, nearest, refused, unknownKey } from "./errors";
import { networkProblems, nodeProblems, versionProblems, warnings } from "./rules";
import {
  type ClusterConfig,
  emptyHostProfile,
  type HostProfile,
  hostProfileSchema,
  type NodeConfig,
  type Secrets,
  stackSchema,
  type StackValues,
  structuredKeys,
} from "./schema";
import { readSecrets } from "./secrets";

/** Where config comes from. Keys are without the project's namespace. */
export interface ConfigSource {
  /** The text of a key; undefined if it is not set. An empty text counts as not set. */
  get(key: string): string | undefined;
  /** The parsed value of a structured key; undefined if it is not set. May throw on text that is no JSON. */
  getObject(key: string): unknown;
  /** All keys that are set, where the source knows: unknown ones are refused. */
  keys?(): readonly string[];
}

export interface LoadedConfig {
  config: ClusterConfig;
  /** In plain: to be made secret before anything else is done with them. */
  secrets: Secrets;
  /** What is allowed but unwise, a line each. */
  warnings: string[];
}

/** Reads a file as text; a relative path is relative to the project, `~` is the operator's home. Throws if it cannot. */
export type ReadFile = (path: string) => string;

/**
 * Loads and checks the whole config. Throws a ConfigError with every problem that was found: key, value, what is allowed,
 * what to do. Secrets are never quoted.
 */
export function loadConfig(source: ConfigSource, readFile: ReadFile): LoadedConfig {
  const problems: string[] = [];
  const raw = readSource(source, problems);
  const secrets = readSecrets(raw, readFile, problems);
  const hostProfile = readHostProfile(raw.hostProfile, readFile, problems);
  const parsed = stackSchema.safeParse(raw);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.flatMap((issue) => issueLines(issue, raw, "")));
    throw new ConfigError(problems);
  }
  const config = clusterConfig(parsed.data, hostProfile);
  problems.push(
    ...nodeProblems(config),
    ...networkProblems(config),
    ...versionProblems(config),
    ...ec2Problems(config, parsed.data.ec2, secrets.sshPrivateKey),
    ...contradictions(config, config.cilium.values),
    ...contradictions(config, hostProfile.ciliumValues, `hostProfile (${parsed.data.hostProfile}): ciliumValues`),
  );
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return { config, secrets, warnings: warnings(config) };
}

function readSource(source: ConfigSource, problems: string[]): Record<string, unknown> {
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
      `hostProfile: ${JSON.stringify(path)} cannot be read (${firstLine(error)}). ` +
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

function clusterConfig(values: StackValues, hostProfile: HostProfile): ClusterConfig {
  const ssh = { user: values.sshUser, port: values.sshPort };
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
  }));
  const ec2 = ec2Config(values.ec2);
  return {
    clusterName: values.clusterName,
    nodes,
    endpoint: { address: values.endpoint, port: values.endpointPort },
    podCidr: values.podCidr,
    serviceCidr: values.serviceCidr,
    podRouting: values.podRouting,
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
      mtu: values.tailnetMtu,
      api: values.tailnetApi.replace(/\/+$/, ""),
    },
    ssh,
    ...(ec2 !== undefined && { ec2 }),
    ...(values.bundle !== undefined && { bundle: values.bundle }),
    hostProfile,
    operatorEndpoint: values.operatorEndpoint,
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
