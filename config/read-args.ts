/** The config of a cluster as a program passes it. It has the keys of a stack's config, and some values may be outputs. */
import * as pulumi from "@pulumi/pulumi";
import { ConfigError } from "../model/messages";
import { isValues } from "../model/merge";
import type { Path, Problem } from "../model/problem";
import { rejectionMarkdown } from "../preview/markdown";
import { writePlanFile } from "../preview/plan-file";
import { userError } from "../model/report";
import { isKnown } from "../model/sdk-internals";
import { hostInputs, type StackConfig } from "../model/stack-config";
import type { ClusterArgs } from "./args";
import { Findings } from "./findings";
import { loadConfig, type LoadedConfig } from "./load";
import { readProjectFile } from "./project-file";
import type { ConfigSource } from "./source";
import { secretKeys } from "./schema/secrets";
import { standInLater } from "./schema/stand-ins";

/** A value that becomes known during the run. */
interface Later {
  path: Path;
  output: pulumi.Output<unknown>;
  /** What stands for it until then. */
  standIn: unknown;
}

/**
 * Reads and checks a cluster's args: known values at once, the others when they are known. Throws an error with every problem.
 *
 * @param name the cluster's resource name, which is also the default of `clusterName`.
 */
export function readArgs(name: string, args: ClusterArgs): StackConfig {
  const later: Later[] = [];
  const tooLate: Problem[] = [];
  const values = withStandIns({ clusterName: name, ...args }, later, tooLate) as Record<string, unknown>;
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
    // The stand-in of a secret may be undefined.
    .filter((key) => first.secrets[key] !== undefined || at(key) !== undefined)
    .map((key) => {
      // Unknown while the value is unknown, so that a preview shows no stand-in as a change.
      const value = pulumi.all([at(key), loaded]).apply(([, { secrets: now }]) => now[key] ?? "");
      return [key, pulumi.secret(value)];
    });
  if (first.secrets.sshKeyFiles !== undefined) {
    secrets.push(["sshKeyFiles", pulumi.secret(loaded.apply(({ secrets: now }) => now.sshKeyFiles))] as never);
  }
  if (first.secrets.extraFiles !== undefined) {
    const contents = later.filter(({ path }) => path.includes("extraFiles")).map(({ output }) => output);
    // Unknown while one of them is.
    const all = pulumi.all([loaded, pulumi.all(contents)]).apply(([{ secrets: now }]) => now.extraFiles);
    secrets.push(["extraFiles", pulumi.secret(all)] as never);
  }
  return {
    prefix: `${name}-`,
    config: first.config,
    // Secret if anything in a node is secret.
    known: pulumi
      .all([loaded, pulumi.all(seen.filter((_, i) => later[i]!.path[0] === "nodes"))])
      .apply(([{ config }]) => config),
    hosts: first.config.nodes.map(({ host }, i) => hostInputs(host, (key) => at("nodes", i, "host", key))),
    secrets: Object.fromEntries(secrets) as StackConfig["secrets"],
  };
}

function load(name: string, values: Record<string, unknown>, tooLate: readonly Problem[]): LoadedConfig {
  try {
    const findings = new Findings();
    findings.add(tooLate);
    findings.throwAny();
    return loadConfig(sourceOf(values), readProjectFile);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    writePlanFile(name, rejectionMarkdown(error.problems));
    throw userError(`${name}: ${error.message}`);
  }
}

function sourceOf(values: Record<string, unknown>): ConfigSource {
  const isSet = (key: string) => values[key] !== undefined && values[key] !== null;
  return {
    get: (key) => (isSet(key) ? textOf(values[key]) : undefined),
    getObject: (key) => (isSet(key) ? values[key] : undefined),
    keys: () => Object.keys(values).filter(isSet),
  };
}

const textOf = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** The values, with a stand-in for each one that becomes known later. */
function withStandIns(values: unknown, later: Later[], tooLate: Problem[]): unknown {
  return replaced(values, (value, path) => {
    if (!pulumi.Output.isInstance(value) && !(value instanceof Promise)) return undefined;
    const standIn = standInLater(path);
    if (standIn === undefined) {
      tooLate.push({
        path,
        wrong: "it is an output, whose value is known only during the run",
        allowed: "a plain value; only secrets and a host's address, hostKey and identity may be outputs",
        fix: "Pass the value itself.",
      });
      return { value: undefined };
    }
    later.push({ path, output: pulumi.output<unknown>(value), standIn: standIn.value });
    return standIn;
  });
}

/** The values, with `all` in place of those that became known later. */
function withValues(values: unknown, later: readonly Later[], all: readonly unknown[]): unknown {
  return replaced(values, (_, path) => {
    const found = later.findIndex((one) => samePath(one.path, path));
    return found < 0 ? undefined : { value: all[found] };
  });
}

/** A copy in which `by` may replace any value. */
function replaced(
  value: unknown,
  by: (value: unknown, path: Path) => { value: unknown } | undefined,
  path: Path = [],
): unknown {
  const other = by(value, path);
  if (other !== undefined) return other.value;
  if (Array.isArray(value)) return value.map((inner, i) => replaced(inner, by, [...path, i]));
  if (!isValues(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, replaced(inner, by, [...path, key])]));
}

const samePath = (a: Path, b: Path) => a.length === b.length && a.every((part, i) => part === b[i]);

/** The value or, while it is unknown in a preview, its stand-in. */
function orElse(output: pulumi.Output<unknown>, standIn: unknown): pulumi.Output<unknown> {
  return pulumi.output(isKnown(output).then((known) => (known ? output : standIn)));
}
