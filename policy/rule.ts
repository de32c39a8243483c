/** A rule: a pure function from a requested resource to its violations. */
import { isValues as isObject } from "../model/merge";

export { isObject };

/** Stands for a value that is not known before something else is made. No rule refuses it: `up` asks again. */
export const unknown: unique symbol = Symbol("unknown");

export interface CheckedResource {
  type: string;
  name: string;
  /** Inputs, or for rules about outputs those, in plain; what is not known yet is `unknown`. */
  properties: Readonly<Record<string, unknown>>;
  /** Inputs that are secret or hold a secret, by their top-level keys. */
  secretInputs: ReadonlySet<string>;
  /** URN of what takes the resource with it. Engines do not tell policy packs, so it is absent there. */
  deletedWith?: string;
  additionalSecretOutputs: readonly string[];
}

export interface Rule {
  /** The policy's name. */
  name: string;
  description: string;
  /** What it looks at: the inputs before a resource is made or changed, or the outputs at the end. */
  about: "inputs" | "outputs";
  /** A line for each violation. Nothing of a value is quoted that may be a secret. */
  violations(resource: CheckedResource): string[];
}

/** All texts in a value, keys of objects among them. */
export function texts(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(texts);
  return isObject(value) ? Object.entries(value).flatMap(([key, inner]) => [key, ...texts(inner)]) : [];
}
