/** A stack's outputs. */
import type { ResourceState } from "./state/deployment";
import { STACK_TYPE } from "./urn";
import { hide, Props, reveal, Value } from "./values";

export function stackOutputs(resources: readonly ResourceState[]): Props {
  return resources.find((resource) => resource.type === STACK_TYPE)?.outputs ?? {};
}

/** At the end of a run: names and values, secrets hidden, long values cut. */
export function printOutputs(outputs: Props, write: (line: string) => void): void {
  const names = Object.keys(outputs).sort();
  if (names.length === 0) return;
  write("Outputs:");
  for (const name of names) {
    const text = asText(hide(outputs[name]!));
    write(`  ${name}: ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`.replaceAll("\n", "\n    "));
  }
}

/** A string as it is, all else as JSON. */
export function asText(value: Value): string {
  return typeof value === "string" ? value : JSON.stringify(value, undefined, 2);
}

/** The outputs for `stack output`. */
export function visible(outputs: Props, showSecrets: boolean): Props {
  const map = showSecrets ? reveal : hide;
  return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, map(value)]));
}
