/** `kubernetes:helm.sh/v3:Release`, performed with the helm binary. */
import { randomBytes } from "crypto";
import { existsSync, readFileSync, statSync } from "fs";
import { join } from "path";
import { parse, parseAllDocuments } from "yaml";
import { Change, diffProps } from "../diff";
import { allowOnly, dropNulls, readBoolean, readNumber, readObject, readString } from "../providers/inputs";
import type { Created, OperationContext, Performer } from "../providers/provider";
import type { ResourceState } from "../state/deployment";
import { containsUnknown, isObject, Props, reveal, revealProps, secret, UNKNOWN, Value } from "../values";
import { helmOffline, Tool } from "./tool";

export const RELEASE_TYPE = "kubernetes:helm.sh/v3:Release";

const DEFAULT_TIMEOUT = 300;
/** Inputs that are performed, with what they are when they are absent: the provider keeps them all. */
const DEFAULTS: Props = {
  allowNullValues: false,
  atomic: false,
  chart: "",
  cleanupOnFail: false,
  createNamespace: false,
  dependencyUpdate: false,
  description: "",
  devel: false,
  disableCRDHooks: false,
  disableOpenapiValidation: false,
  disableWebhooks: false,
  forceUpdate: false,
  keyring: "",
  lint: false,
  name: "",
  namespace: "",
  postrender: "",
  recreatePods: false,
  renderSubchartNotes: false,
  replace: false,
  resetValues: false,
  reuseValues: false,
  values: {},
  skipCrds: false,
  timeout: 0,
  verify: false,
  version: "",
  skipAwait: false,
  waitForJobs: false,
};
const OPTIONAL = ["maxHistory", "repositoryOpts"];
/** Inputs that may only be as they are by default. */
const UNSUPPORTED = ["keyring", "lint", "postrender", "recreatePods", "renderSubchartNotes", "replace", "verify"];
const REPOSITORY_DEFAULTS = { repo: "", caFile: "", certFile: "", keyFile: "", password: "", username: "" };

interface ListedRelease {
  name: string;
  namespace: string;
  revision: string;
  status: string;
  /** `<chart>-<version>`. */
  chart: string;
  app_version: string;
}

export class HelmRelease implements Performer {
  private readonly helm: Tool;

  constructor(private readonly provider: Props) {
    this.helm = new Tool("helm", provider);
  }

  async check(inputs: Props, olds: Props | undefined, name: string): Promise<Props> {
    const label = `release "${name}"`;
    const given = dropNulls(inputs);
    delete given.compat;
    allowOnly(given, [...Object.keys(DEFAULTS), ...OPTIONAL], label);
    for (const key of UNSUPPORTED) {
      if (given[key]) throw new Error(`${label}: the rehearsal engine does not support the input "${key}"`);
    }
    const result: Props = { ...DEFAULTS, ...given };
    result.name ||= olds?.name ?? `${name}-${randomBytes(4).toString("hex")}`;
    result.namespace ||= readString(this.provider, "namespace") ?? "default";
    if (!result.skipAwait && given.timeout === undefined) result.timeout = DEFAULT_TIMEOUT;
    const repository = readObject(given, "repositoryOpts");
    if (repository) {
      allowOnly(repository, ["repo"], `${label}: repositoryOpts`);
      result.repositoryOpts = { ...REPOSITORY_DEFAULTS, ...repository };
    }
    if (!containsUnknown(inputs)) result.version = await chartVersion(result, label);
    return result;
  }

  diff(old: ResourceState, inputs: Props): Change[] {
    const olds = revealProps(old.inputs ?? {});
    return diffProps(olds, revealProps(inputs), ([key]) => key === "name" || key === "namespace");
  }

  preview(inputs: Props): Props {
    return { ...inputs, __inputs: secret(inputs), resourceNames: UNKNOWN, status: UNKNOWN };
  }

  async create(context: OperationContext, inputs: Props): Promise<Created> {
    const name = readString(inputs, "name")!;
    const namespace = readString(inputs, "namespace")!;
    const existing = await this.list(context, name, namespace);
    if (existing?.status === "deployed") {
      context.warn(`a release ${name} is there already: it is upgraded`);
      await this.upgrade(context, inputs);
    } else {
      if (existing) {
        context.warn(`a release ${name} is there, ${existing.status}: it is uninstalled first`);
        await this.uninstall(context, inputs);
      }
      await this.helm.run(context, {
        args: ["install", name, ...commonArgs(inputs), ...installArgs(inputs)],
        files: [valuesFile(inputs)],
      });
    }
    return { id: `${namespace}/${name}`, outputs: await this.outputs(context, inputs) };
  }

  async update(context: OperationContext, _old: ResourceState, inputs: Props): Promise<Props> {
    const name = readString(inputs, "name")!;
    const namespace = readString(inputs, "namespace")!;
    const existing = await this.list(context, name, namespace);
    if (existing?.status.startsWith("pending")) {
      context.warn(`release ${name} is ${existing.status}: it is rolled back first`);
      await this.helm.run(context, { args: ["rollback", name, "--namespace", namespace, "--wait"] });
    }
    await this.upgrade(context, inputs);
    return this.outputs(context, inputs);
  }

  async delete(context: OperationContext, old: ResourceState): Promise<void> {
    const inputs = { ...DEFAULTS, ...old.inputs };
    const existing = await this.list(context, readString(inputs, "name")!, readString(inputs, "namespace")!);
    if (existing) await this.uninstall(context, inputs);
  }

  private async upgrade(context: OperationContext, inputs: Props): Promise<void> {
    await this.helm.run(context, {
      args: ["upgrade", readString(inputs, "name")!, ...commonArgs(inputs), ...upgradeArgs(inputs)],
      files: [valuesFile(inputs)],
    });
  }

  private async uninstall(context: OperationContext, inputs: Props): Promise<void> {
    const isAwaited = readBoolean(inputs, "atomic") || !readBoolean(inputs, "skipAwait");
    const wait = isAwaited ? ["--wait", ...timeoutArgs(inputs)] : [];
    const target = [readString(inputs, "name")!, "--namespace", readString(inputs, "namespace")!];
    await this.helm.run(context, { args: ["uninstall", ...target, ...wait] });
  }

  private async list(context: OperationContext, name: string, namespace: string): Promise<ListedRelease | undefined> {
    const filter = `^${name.replaceAll(".", "\\.")}$`;
    const args = ["list", "--all", "--namespace", namespace, "--filter", filter, "--output", "json"];
    return (JSON.parse(await this.helm.run(context, { args })) as ListedRelease[])[0];
  }

  private async outputs(context: OperationContext, inputs: Props): Promise<Props> {
    const name = readString(inputs, "name")!;
    const namespace = readString(inputs, "namespace")!;
    const release = await this.list(context, name, namespace);
    if (!release) throw new Error(`release ${name} vanished after its installation`);
    const manifest = await this.helm.run(context, { args: ["get", "manifest", name, "--namespace", namespace] });
    const version = readString(inputs, "version")!;
    return {
      ...inputs,
      __inputs: secret(inputs),
      resourceNames: resourceNames(manifest),
      status: {
        appVersion: release.app_version,
        chart: release.chart.slice(0, -`-${version}`.length),
        name,
        namespace,
        revision: Number(release.revision),
        status: release.status,
        version,
      },
    };
  }
}

/** The names of the manifest's objects by `<kind>.<group>/<API version>`. */
export function resourceNames(manifest: string): Props {
  const names: Record<string, string[]> = {};
  for (const document of parseAllDocuments(manifest)) {
    const object = (document as { toJS(): Value }).toJS();
    if (!isObject(object) || typeof object.kind !== "string") continue;
    const apiVersion = String(object.apiVersion);
    const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
    const metadata = (object.metadata ?? {}) as Props;
    const name = metadata.namespace ? `${metadata.namespace}/${metadata.name}` : String(metadata.name);
    (names[`${object.kind}${group}/${apiVersion}`] ??= []).push(name);
  }
  for (const key of Object.keys(names)) names[key] = [...new Set(names[key])].sort();
  return names;
}

/** The chart's exact version, which the state keeps in place of the wanted range. */
async function chartVersion(inputs: Props, label: string): Promise<string> {
  const chart = readString(inputs, "chart")!;
  if (!chart) throw new Error(`${label}: chart is missing`);
  let text: string;
  if (existsSync(chart) && statSync(chart).isDirectory()) {
    text = readFileSync(join(chart, "Chart.yaml"), "utf8");
  } else {
    const result = await helmOffline(["show", "chart", ...chartArgs(inputs)]);
    if (result.code !== 0) throw new Error(`${label}: helm cannot read the chart:\n${result.stderr.trim()}`);
    text = result.stdout;
  }
  return String((parse(text) as { version: string }).version);
}

function chartArgs(inputs: Props): string[] {
  const repository = readObject(inputs, "repositoryOpts");
  const repo = repository && readString(repository, "repo");
  const version = readString(inputs, "version");
  const args = [readString(inputs, "chart")!];
  if (repo) args.push("--repo", repo);
  if (version) args.push("--version", version);
  if (readBoolean(inputs, "devel")) args.push("--devel");
  return args;
}

function timeoutArgs(inputs: Props): string[] {
  return ["--timeout", `${readNumber(inputs, "timeout") || DEFAULT_TIMEOUT}s`];
}

function valuesFile(inputs: Props): { flag: string; content: string } {
  return { flag: "--values", content: JSON.stringify(reveal(inputs.values ?? {})) };
}

/** The flags of an install and of an upgrade, the chart first. */
function commonArgs(inputs: Props): string[] {
  const args = [...chartArgs(inputs), "--namespace", readString(inputs, "namespace")!, ...timeoutArgs(inputs)];
  const skipAwait = readBoolean(inputs, "skipAwait");
  if (!skipAwait) args.push("--wait");
  if (!skipAwait && readBoolean(inputs, "waitForJobs")) args.push("--wait-for-jobs");
  if (readBoolean(inputs, "atomic")) args.push("--atomic");
  if (readBoolean(inputs, "dependencyUpdate")) args.push("--dependency-update");
  const description = readString(inputs, "description");
  if (description) args.push("--description", description);
  return args;
}

function installArgs(inputs: Props): string[] {
  const args: string[] = [];
  if (readBoolean(inputs, "createNamespace")) args.push("--create-namespace");
  if (readBoolean(inputs, "skipCrds")) args.push("--skip-crds");
  if (readBoolean(inputs, "disableWebhooks")) args.push("--no-hooks");
  if (readBoolean(inputs, "disableOpenapiValidation")) args.push("--disable-openapi-validation");
  return args;
}

function upgradeArgs(inputs: Props): string[] {
  const args = ["--history-max", String(readNumber(inputs, "maxHistory") ?? 0)];
  if (readBoolean(inputs, "disableCRDHooks")) args.push("--no-hooks");
  if (readBoolean(inputs, "forceUpdate")) args.push("--force");
  if (readBoolean(inputs, "resetValues")) args.push("--reset-values");
  if (readBoolean(inputs, "reuseValues")) args.push("--reuse-values");
  if (readBoolean(inputs, "cleanupOnFail")) args.push("--cleanup-on-fail");
  return args;
}
