/**
 * Building blocks of the config's schemas. The error text of each says what is allowed; `key` adds the description.
 *
 * The schemas define each key once: its type, default, allowed values, description and an example. `npm run generate` creates
 * Pulumi.yaml's config block, docs/reference/config.md and the types in config/args.ts from them.
 */
import { z } from "zod";
import { ipv4Only, isBeyondIPv4, isIPv4, isNetwork, networkOf } from "../../model/cidr";
import { isValues } from "../../model/merge";

/** Optional properties of a key. */
interface More {
  /** The name of its type in config/args.ts. A type without a name is written inline. */
  title?: string;
  /** Example values for the reference. */
  examples?: readonly unknown[];
  /** Whether a program may pass an output. */
  isInput?: true;
  /** Of a `kind`: whether it is the kind of an object without one. */
  isDefault?: true;
}

/** A key with its description, in whole sentences. */
export function key<T extends z.ZodType>(schema: T, words: string, more: More = {}): T {
  return schema.meta({ description: words, ...more });
}

/**
 * An object of keys of one subject, all of them optional. An empty text or null under one of its keys counts as not set, as it does
 * for keys outside groups.
 */
export function group<T extends z.ZodRawShape>(shape: T, example: string) {
  return z.preprocess(withoutEmpty, object(`an object such as ${example}`, shape)).prefault({});
}

/** An object with these keys and no others. */
export function object<T extends z.ZodRawShape>(allowed: string, shape: T) {
  return z.strictObject(shape, { error: allowed });
}

export function list<T extends z.ZodType>(allowed: string, item: T) {
  return z.array(item, { error: allowed });
}

function withoutEmpty(value: unknown): unknown {
  return isValues(value)
    ? Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== "" && inner !== null))
    : value;
}

export function text(pattern: RegExp, allowed: string) {
  return z.string({ error: allowed }).regex(pattern, { error: allowed });
}

/** A text for which `is` is true. */
export function checkedText(is: (text: string) => boolean, allowed: string) {
  return z.string({ error: allowed }).refine(is, { error: allowed });
}

/** Any text. YAML reads a text of digits as a number. */
export function anyText(allowed: string) {
  return z.preprocess((v) => (typeof v === "number" ? String(v) : v), z.string({ error: allowed }));
}

/** A file on the machine that the program runs on. */
export function file() {
  return z.string({ error: "the path of a file on this machine" });
}

/** A whole number. Pulumi passes scalars as text, but numbers in structured values as numbers. */
export function wholeNumber(min: number, max: number, what = "a whole number") {
  const allowed = `${what} from ${min} to ${max}`;
  return z.preprocess(
    (v) => (typeof v === "string" && /^\d+$/.test(v) ? Number(v) : v),
    z.number({ error: allowed }).int({ error: allowed }).min(min, { error: allowed }).max(max, { error: allowed }),
  );
}

export function port() {
  return wholeNumber(1, 65535, "a port");
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: values.join(" or ") });
}

export function yesOrNo() {
  return z.preprocess((v) => (v === "true" ? true : v === "false" ? false : v), z.boolean({ error: "true or false" }));
}

/** The error of a key that takes one address or network of IPv4: what is allowed, and for a value of IPv6 or of both families why. */
const errorOfIPv4 = (allowed: string) => (issue: { input?: unknown }) =>
  isBeyondIPv4(issue.input) ? `${allowed}, alone, because ${ipv4Only}` : allowed;

/** An IPv4 address. */
export function ipv4Address(allowed: string) {
  return ipv4Text(isIPv4, allowed);
}

/** A text for which `is` is true, which may be an IPv4 address. */
export function ipv4Text(is: (text: string) => boolean, allowed: string) {
  const error = errorOfIPv4(allowed);
  return z.string({ error }).refine(is, { error });
}

/** An IPv4 network with no host bits and a prefix length within bounds. */
export function network(minPrefix: number, maxPrefix: number, example: string) {
  const allowed = `an IPv4 network with a prefix length from /${minPrefix} to /${maxPrefix} such as ${example}`;
  const error = errorOfIPv4(allowed);
  return z.string({ error }).superRefine((value, ctx) => {
    const prefix = Number(value.split("/")[1]);
    if (!isNetwork(value) || prefix < minPrefix || prefix > maxPrefix) {
      const meant = networkOf(value);
      ctx.addIssue(meant && meant !== value ? `${allowed}; this one would be ${meant}` : error({ input: value }));
    }
  });
}

/** A path on the hosts, which becomes part of shell scripts. */
export function hostPath(example: string) {
  return text(
    /^\/[A-Za-z0-9._/+@-]+$/,
    `an absolute path on the hosts, with only letters, digits and . _ / + @ -, such as ${example}`,
  );
}

/** An object whose keys another project defines. */
export function freeForm(allowed: string) {
  return z.record(z.string(), z.unknown(), { error: allowed });
}

const semver = /^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$/;

/** @param oldestMinor of 1.x. */
export function version(oldestMinor: number, example: string) {
  return checkedText((value) => {
    const parts = semver.exec(value);
    return parts !== null && parts[1] === "1" && Number(parts[2]) >= oldestMinor;
  }, `a version without v, 1.${oldestMinor}.0 or newer, such as ${example}`);
}

/** A version of three numbers. */
export function release(example: string) {
  return text(/^\d+\.\d+\.\d+$/, `a version without v such as ${example}`);
}
