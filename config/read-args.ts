/** The config of a cluster as a program writes it: the keys of a stack's config, and some values may become known in the run only. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { Secrets } from "../model/config";
import { ConfigError } from "../model/messages";
import { isValues } from "../model/merge";
import type { Path, Problem } from "../model/problem";
import { reported } from "../model/report";
import type { HostInputs, StackConfig } from "../model/stack-config";
import type { ClusterArgs } from "./args";
import { Findings } from "./findings";
import { loadConfig, type LoadedConfig } from "./load";
import type { ConfigSource } from "./source";
import { standInLater } from "./schema/stand-ins";

const secretKeys = [
  "sshPrivateKey",
  "tailnetAuthKey",
  "tailnetControlPlaneAuthKey",
  "tailnetApiKey",
  "tailnetOauthClientSecret",
  "registryCredentials",
] as const satisfies readonly (keyof Secrets)[];
/** A value that becomes known in the run. */
interface Later {
  path: Path;
  output: pulumi.Output<unknown>;
  /** What stands for it until then. */
  standIn: unknown;
}

/**
 * Reads and checks a cluster's args: at once all that is known, the rest when it is. Throws an error that names every problem.
 *
 * @param name the cluster's resource name, which is its `clusterName` where that is not set.
 */
export function readArgs(name: string, args: ClusterArgs): StackConfig {
  const later: Later[] = [];
  const tooLate: Problem[] = [];
  const values = withStandIns({ clusterName: name, ...args }, [], later, tooLate) as Record<string, unknown>;
  const first = load(name, values, tooLate);
  for (const warning of first.warnings) void pulumi.log.warn(`${name}: ${warning}`);
  const seen = later.map(({ output, standIn }) => orElse(output, standIn));
  const loaded =
    later.length === 0
      ? pulumi.output(first)
      : pulumi.unsecret(
          pulumi.all(seen).apply((all) => load(name, withValues(values, later, all) as Record<string, unknown>, [])),
        );
  const at = (...path: Path) =>
    later.find((one) => samePath(one.path, path))?.output as pulumi.Output<string> | undefined;
  const secrets = secretKeys
    // What stands for a secret may be nothing.
    .filter((key) => first.secrets[key] !== undefined || at(key) !== undefined)
    .map((key) => {
      // Unknown as long as the value is, and no stand-in is shown as a change.
      const value = pulumi.all([at(key), loaded]).apply(([, { secrets: now }]) => now[key] ?? "");
      return [key, pulumi.secret(value)];
    });
  return {
    prefix: `${name}-`,
    config: first.config,
    // Secret if something of a node is.
    known: pulumi
      .all([loaded, pulumi.all(seen.filter((_, i) => later[i]!.path[0] === "nodes"))])
      .apply(([{ config }]) => config),
    hosts: first.config.nodes.map(({ host }, i): HostInputs => {
      const identity = at("nodes", i, "host", "identity") ?? pulumi.output(host.identity ?? "");
      if (host.kind !== "ssh") return { address: pulumi.output(""), identity };
      const hostKey = at("nodes", i, "host", "hostKey") ?? host.hostKey;
      return {
        address: at("nodes", i, "host", "address") ?? pulumi.output(host.address),
        ...(hostKey !== undefined && { hostKey: pulumi.output(hostKey) }),
        identity,
      };
    }),
    secrets: Object.fromEntries(secrets) as StackConfig["secrets"],
  };
}

function load(name: string, values: Record<string, unknown>, tooLate: readonly Problem[]): LoadedConfig {
  try {
    const findings = new Findings();
    findings.add(tooLate);
    findings.throwAny();
    return loadConfig(sourceOf(values), readFile);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw reported(`${name}: ${error.message}`);
  }
}

/** A program's values as a stack's config has them. */
function sourceOf(values: Record<string, unknown>): ConfigSource {
  const isSet = (key: string) => values[key] !== undefined && values[key] !== null;
  return {
    get: (key) => (isSet(key) ? textOf(values[key]) : undefined),
    getObject: (key) => (isSet(key) ? values[key] : undefined),
    keys: () => Object.keys(values).filter(isSet),
  };
}

const textOf = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** The values with a stand-in for each that is known later. */
function withStandIns(value: unknown, path: Path, later: Later[], tooLate: Problem[]): unknown {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) {
    const standIn = standInLater(path);
    if (standIn === undefined) {
      tooLate.push({
        path,
        wrong: "it is an output, which is known only in the run",
        allowed: "a plain value; outputs may be a host's address, hostKey and identity, and secrets",
        fix: "Give the value itself.",
      });
      return undefined;
    }
    later.push({ path, output: pulumi.output<unknown>(value), standIn: standIn.value });
    return standIn.value;
  }
  if (Array.isArray(value)) return value.map((inner, i) => withStandIns(inner, [...path, i], later, tooLate));
  if (!isValues(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withStandIns(inner, [...path, key], later, tooLate)]),
  );
}

/** The values with others at the places of those that are known later. */
function withValues(value: unknown, later: readonly Later[], all: readonly unknown[], path: Path = []): unknown {
  const found = later.findIndex((one) => samePath(one.path, path));
  if (found >= 0) return all[found];
  if (Array.isArray(value)) return value.map((inner, i) => withValues(inner, later, all, [...path, i]));
  if (!isValues(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withValues(inner, later, all, [...path, key])]),
  );
}

const samePath = (a: Path, b: Path) => a.length === b.length && a.every((part, i) => part === b[i]);

/** The value or, in a preview, what stands for it while it is not known. */
function orElse(output: pulumi.Output<unknown>, standIn: unknown): pulumi.Output<unknown> {
  // Not in the SDK's types.
  const { isKnown } = output as unknown as { isKnown: Promise<boolean> };
  return pulumi.output(isKnown.then((known) => (known ? output : standIn)));
}

function readFile(path: string): string {
  return readFileSync(path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(path), "utf8");
}
