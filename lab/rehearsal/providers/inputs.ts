/** Reading and checking of inputs. */
import { isPlainObject, isSecret, Props, reveal, UNKNOWN, Value } from "../values";

/** Throws when an input has a name that is not listed. */
export function allowOnly(inputs: Props, allowed: readonly string[], label: string): void {
  for (const [key, value] of Object.entries(inputs)) {
    if (value === null || allowed.includes(key)) continue;
    throw new Error(`${label}: the rehearsal engine does not support the input "${key}"`);
  }
}

/** The value of an input with its secret mark taken off; undefined when it is absent. */
export function read(inputs: Props, key: string): Value | undefined {
  const value = inputs[key];
  return value === undefined || value === null ? undefined : reveal(value);
}

export function readString(inputs: Props, key: string): string | undefined {
  return typed(inputs, key, "a string", (value): value is string => typeof value === "string");
}

export function readNumber(inputs: Props, key: string): number | undefined {
  return typed(inputs, key, "a number", (value): value is number => typeof value === "number");
}

export function readBoolean(inputs: Props, key: string): boolean | undefined {
  return typed(inputs, key, "a boolean", (value): value is boolean => typeof value === "boolean");
}

export function readStrings(inputs: Props, key: string): string[] | undefined {
  const isList = (value: Value): value is string[] =>
    Array.isArray(value) && value.every((item) => typeof item === "string");
  return typed(inputs, key, "a list of strings", isList);
}

export function readObject(inputs: Props, key: string): Props | undefined {
  return typed(inputs, key, "an object", isPlainObject);
}

/** Fills in the members that are absent; works through secret marks. Unknown values stay as they are. */
export function withDefaults(value: Value, defaults: Props): Value {
  if (isSecret(value)) return { ...value, value: withDefaults(value.value, defaults) };
  if (!isPlainObject(value)) return value;
  const present = Object.entries(value).filter(([, item]) => item !== null);
  return { ...defaults, ...Object.fromEntries(present) };
}

/** Maps the named members, if they are there; works through secret marks. */
export function mapMembers(value: Value, keys: readonly string[], map: (member: Value) => Value): Value {
  if (isSecret(value)) return { ...value, value: mapMembers(value.value, keys, map) };
  if (!isPlainObject(value)) return value;
  const members = Object.entries(value).map(([key, item]) => [key, keys.includes(key) ? map(item) : item] as const);
  return Object.fromEntries(members);
}

/** The inputs without nulls, which mean the same as absence. */
export function dropNulls(inputs: Props): Props {
  return Object.fromEntries(Object.entries(inputs).filter(([, value]) => value !== null));
}

function typed<T extends Value>(inputs: Props, key: string, what: string, is: (v: Value) => v is T): T | undefined {
  const value = read(inputs, key);
  if (value === undefined || value === UNKNOWN) return undefined;
  if (!is(value)) throw new Error(`input "${key}" must be ${what}`);
  return value;
}
