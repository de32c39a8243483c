/** Kubernetes objects, by server-side apply with kubectl. A `…Patch` changes an object of somebody else's. */
import { randomBytes } from "crypto";
import { Change, diffProps } from "../diff";
import { covers, parsePath, Path } from "../paths";
import { dropNulls, readString } from "../providers/inputs";
import type { Created, OperationContext, Performer } from "../providers/provider";
import type { ResourceState } from "../state/deployment";
import { containsUnknown, equal, isPlainObject, isSecret, Props, reveal, secret, Value } from "../values";
import { Tool } from "./tool";

const FIELD_MANAGER = "__fieldManager";
/** The provider compares with the inputs that it keeps here. */
const INPUTS = "__inputs";
const AUTONAMED = "pulumi.com/autonamed";
const INITIAL_API_VERSION = "__initialApiVersion";
/** Groups of the SDK that are no API groups. */
const NO_API_GROUPS = ["helm.sh", "yaml", "kustomize"];
/** Kinds whose objects are ready only some time after they were applied, and how kubectl waits for that. */
const ROLLED_OUT = ["Deployment", "StatefulSet", "DaemonSet"];
const CONDITIONS: Record<string, string> = { Job: "complete", Pod: "ready" };
const READY_WITHIN = "600s";
/** Members that the API server or the provider do not change in place. */
const IMMUTABLE: Record<string, string[]> = {
  ConfigMap: ["data", "binaryData"],
  Secret: ["data", "stringData", "type"],
  Job: ["spec"],
};

export class KubernetesObject implements Performer {
  private readonly kubectl: Tool;
  private readonly isPatch: boolean;

  /** Whether the type is that of an object of the Kubernetes API. */
  static performs(type: string): boolean {
    const match = /^kubernetes:([a-z0-9.-]+)\/v[a-z0-9]+:([A-Z]\w*)$/.exec(type);
    return match !== null && !NO_API_GROUPS.includes(match[1]!) && !match[2]!.endsWith("List");
  }

  constructor(
    type: string,
    private readonly provider: Props,
  ) {
    this.kubectl = new Tool("kubectl", provider);
    this.isPatch = type.endsWith("Patch");
  }

  check(inputs: Props, olds: Props | undefined, name: string): Props {
    const result = dropNulls(inputs);
    if (readString(this.provider, "enableServerSideApply") === "false") {
      throw new Error(`object "${name}": the rehearsal engine does not support client-side apply`);
    }
    const metadata: Props = isPlainObject(result.metadata) ? { ...result.metadata } : {};
    if (metadata.generateName) throw new Error(`object "${name}": generateName is not supported`);
    const namespace = readString(this.provider, "namespace");
    if (!metadata.name) {
      if (this.isPatch) throw new Error(`object "${name}": a patch needs metadata.name`);
      const old = isPlainObject(olds?.metadata) ? olds.metadata.name : undefined;
      metadata.name = old ?? `${name}-${randomBytes(4).toString("hex")}`;
      metadata.annotations = { ...(metadata.annotations as Props | undefined), [AUTONAMED]: "true" };
    }
    if (namespace && !metadata.namespace) metadata.namespace = namespace;
    return { ...withEncodedData(result), metadata };
  }

  diff(old: ResourceState, inputs: Props, ignored: readonly string[] = []): Change[] {
    const patterns = ignored.map(parsePath);
    const changes = diffProps(old.inputs ?? {}, inputs, (path) => this.needsReplacement(String(inputs.kind), path));
    return changes.filter(({ path }) => !patterns.some((pattern) => covers(pattern, path)));
  }

  /** Two objects cannot have one name. A generated name is another one for the replacement. */
  deletesBeforeReplace(old: ResourceState, inputs: Props): boolean {
    const [before, now] = [old.inputs?.metadata, inputs.metadata].map((metadata) => (metadata ?? {}) as Props);
    const isGenerated = (now!.annotations as Props | undefined)?.[AUTONAMED] === "true";
    return !isGenerated && equal(before!.name, now!.name) && equal(before!.namespace, now!.namespace);
  }

  /** What the API server adds is unknown: the SDK takes absent outputs as such. */
  preview(inputs: Props): Props {
    return inputs;
  }

  async create(context: OperationContext, inputs: Props): Promise<Created> {
    const manager = `pulumi-kubernetes-${randomBytes(4).toString("hex")}`;
    const outputs = await this.apply(context, inputs, manager, String(inputs.apiVersion));
    const metadata = outputs.metadata as Props;
    return { id: metadata.namespace ? `${metadata.namespace}/${metadata.name}` : String(metadata.name), outputs };
  }

  update(context: OperationContext, old: ResourceState, inputs: Props): Promise<Props> {
    const outputs = old.outputs ?? {};
    const manager = readString(outputs, FIELD_MANAGER)!;
    return this.apply(context, inputs, manager, readString(outputs, INITIAL_API_VERSION)!);
  }

  async delete(context: OperationContext, old: ResourceState): Promise<void> {
    const outputs = old.outputs ?? {};
    const object = JSON.stringify(identity(outputs));
    if (!this.isPatch) {
      const args = ["delete", "--ignore-not-found", "--wait=true", `--timeout=${READY_WITHIN}`, "-f", "-"];
      await this.kubectl.run(context, { args, stdin: object });
      return;
    }
    const found = await this.kubectl.run(context, {
      args: ["get", "--ignore-not-found", "-o", "name", "-f", "-"],
      stdin: object,
    });
    if (!found.trim()) return;
    // Applying nothing but the name gives up every field that this manager owns.
    const manager = readString(outputs, FIELD_MANAGER)!;
    const args = ["apply", "--server-side", `--field-manager=${manager}`, "-f", "-"];
    await this.kubectl.run(context, { args, stdin: object });
  }

  private needsReplacement(kind: string, path: Path): boolean {
    const [first, second] = path;
    if (first === "kind" || first === "apiVersion") return true;
    if (first === "metadata") return second === "name" || second === "namespace";
    return !this.isPatch && (IMMUTABLE[kind] ?? []).includes(String(first));
  }

  private async apply(
    context: OperationContext,
    inputs: Props,
    manager: string,
    initialApiVersion: string,
  ): Promise<Props> {
    const object = reveal(inputs) as Props;
    const annotations = ((object.metadata as Props).annotations ?? {}) as Props;
    const force = annotations["pulumi.com/patchForce"] === "true" ? ["--force-conflicts"] : [];
    const live = JSON.parse(
      await this.kubectl.run(context, {
        args: ["apply", "--server-side", `--field-manager=${manager}`, ...force, "-o", "json", "-f", "-"],
        stdin: JSON.stringify(object),
      }),
    ) as Props;
    if (annotations["pulumi.com/skipAwait"] !== "true" && !this.isPatch) await this.waitReady(context, live);
    const outputs = Object.entries(live).map(([key, value]) => [key, keepSecrets(value, inputs[key])] as const);
    return {
      ...Object.fromEntries(outputs),
      ...(live.kind === "Secret" && live.data && { data: secret(live.data) }),
      [INPUTS]: inputs,
      [INITIAL_API_VERSION]: initialApiVersion,
      [FIELD_MANAGER]: manager,
    };
  }

  private async waitReady(context: OperationContext, live: Props): Promise<void> {
    const kind = String(live.kind);
    const { name, namespace } = live.metadata as { name: string; namespace?: string };
    const target = [`${kind.toLowerCase()}/${name}`, ...(namespace ? ["--namespace", namespace] : [])];
    if (ROLLED_OUT.includes(kind)) {
      await this.kubectl.run(context, { args: ["rollout", "status", ...target, `--timeout=${READY_WITHIN}`] });
    } else if (CONDITIONS[kind]) {
      const condition = `--for=condition=${CONDITIONS[kind]}`;
      await this.kubectl.run(context, { args: ["wait", condition, ...target, `--timeout=${READY_WITHIN}`] });
    }
  }
}

/** A Secret's `stringData` is but another way to write `data`; either is secret. */
function withEncodedData(object: Props): Props {
  if (object.kind !== "Secret" || containsUnknown(object)) return object;
  const { stringData, ...rest } = object;
  if (stringData === undefined && rest.data === undefined) return object;
  const plain = Object.entries((reveal(stringData ?? {}) ?? {}) as Record<string, string>);
  const encoded = plain.map(([key, text]) => [key, Buffer.from(text).toString("base64")] as const);
  return { ...rest, data: secret({ ...((reveal(rest.data ?? {}) ?? {}) as Props), ...Object.fromEntries(encoded) }) };
}

function identity(object: Props): Props {
  const metadata = (reveal(object.metadata ?? {}) ?? {}) as Props;
  const { name, namespace } = metadata;
  return {
    apiVersion: object.apiVersion ?? null,
    kind: object.kind ?? null,
    metadata: namespace ? { name: name!, namespace } : { name: name! },
  };
}

/** The live value with what is secret in the input marked as such. */
function keepSecrets(live: Value, input: Value | undefined): Value {
  if (isSecret(input)) return secret(live);
  if (isPlainObject(live) && isPlainObject(input)) {
    const members = Object.entries(live).map(([key, value]) => [key, keepSecrets(value, input[key])] as const);
    return Object.fromEntries(members);
  }
  if (Array.isArray(live) && Array.isArray(input)) return live.map((item, index) => keepSecrets(item, input[index]));
  return live;
}
