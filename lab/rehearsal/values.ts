/**
 * Property values as they travel between a program and its engine: JSON with signed objects for what JSON lacks.
 */

/** The member that marks an object as something else than a plain object. */
export const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e";

/** Signatures that this engine does not perform, with the name that its error gives them. */
const UNSUPPORTED: Record<string, string> = {
  c44067f5952c0a294b673a41bacd8c17: "an asset",
  "0def7320c3a5731c473e5ecbe6d01bc7": "an archive",
  d0e6a833031e9bbcd3f4e8bde6ca49a4: "an output value (remote components)",
  "8ad145fe-0d11-4827-bfd7-1abcbf086f5c": "a number outside JSON",
};

/** Stands for a value that is known only after the update (in previews). */
export const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
export type Props = { [key: string]: Value };

/** What `isSecret` tells from a plain object. */
export interface Secret {
  [SIGNATURE]: string;
  value: Value;
  [key: string]: Value;
}

export function isObject(value: Value | undefined): value is Props {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSecret(value: Value | undefined): value is Secret {
  return isObject(value) && value[SIGNATURE] === SECRET;
}

export function isResourceReference(value: Value | undefined): value is Props {
  return isObject(value) && value[SIGNATURE] === RESOURCE;
}

/** A plain object: neither a secret nor a resource reference. */
export function isPlainObject(value: Value | undefined): value is Props {
  return isObject(value) && !(SIGNATURE in value);
}

/** Wraps a value as a secret; a secret stays as it is. */
export function secret(value: Value): Secret {
  return isSecret(value) ? value : { [SIGNATURE]: SECRET, value };
}

/** The value without any secret mark, at any depth. */
export function reveal(value: Value): Value {
  if (isSecret(value)) return reveal(value.value);
  if (Array.isArray(value)) return value.map(reveal);
  if (isObject(value)) return mapObject(value, reveal);
  return value;
}

/** The properties without any secret mark, at any depth. */
export function revealProps(props: Props): Props {
  return mapObject(props, reveal);
}

/** The value with each secret at any depth replaced by the word `[secret]`. */
export function hide(value: Value): Value {
  if (isSecret(value)) return "[secret]";
  if (Array.isArray(value)) return value.map(hide);
  if (isPlainObject(value)) return mapObject(value, hide);
  return value;
}

export function containsSecret(value: Value): boolean {
  if (isSecret(value)) return true;
  if (Array.isArray(value)) return value.some(containsSecret);
  return isObject(value) && Object.values(value).some(containsSecret);
}

export function containsUnknown(value: Value): boolean {
  if (value === UNKNOWN) return true;
  if (Array.isArray(value)) return value.some(containsUnknown);
  return isObject(value) && Object.values(value).some(containsUnknown);
}

/** The text of every secret in the value, for hiding them in messages. Of nested secrets the innermost count. */
export function secretTexts(value: Value, inSecret = false): string[] {
  if (isSecret(value)) return secretTexts(value.value, !containsSecret(value.value));
  if (Array.isArray(value)) return value.flatMap((item) => secretTexts(item, inSecret));
  if (isObject(value)) return Object.values(value).flatMap((item) => secretTexts(item, inSecret));
  return inSecret && typeof value === "string" ? [value] : [];
}

/** Throws when the value holds something that this engine does not perform; `path` leads the message. */
export function rejectUnsupported(value: Value, path: string): void {
  if (Array.isArray(value)) {
    value.forEach((item, index) => rejectUnsupported(item, `${path}[${index}]`));
  } else if (isObject(value)) {
    const signature = value[SIGNATURE];
    const name = typeof signature === "string" ? UNSUPPORTED[signature] : undefined;
    if (name) throw new Error(`${path} is ${name}, which the rehearsal engine does not support`);
    for (const [key, item] of Object.entries(value)) rejectUnsupported(item, `${path}.${key}`);
  }
}

/** Equality as the engine sees it: a null member equals an absent one, a secret never equals a plain value. */
export function equal(a: Value | undefined, b: Value | undefined): boolean {
  if (a === undefined || a === null || b === undefined || b === null) return (a ?? null) === (b ?? null);
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (isObject(a)) {
    if (!isObject(b)) return false;
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => equal(a[key], b[key]));
  }
  return a === b;
}

/** Object.entries → Object.fromEntries with the values mapped. */
export function mapObject(object: Props, map: (value: Value) => Value): Props {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
