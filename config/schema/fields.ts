/**
 * Building blocks of the config's schemas. Each one's error text says what is allowed; `key` and `object` add the words.
 *
 * The schemas are the one place of a key: its type, its default, what is allowed, its words and an example. `npm run generate`
 * makes of them Pulumi.yaml's config block, docs/reference/config.md and the types in config/args.ts.
 */
import { z } from "zod";
import { isNetwork, networkOf } from "../../model/cidr";
import { isValues } from "../../model/merge";

/** What else there is to say of a key. */
interface More {
  /** Its type's name in config/args.ts; one without a name is written where it is used. */
  title?: string;
  /** Values that a user could write, for the reference. */
  examples?: readonly unknown[];
  /** Whether a program may give a value that is known only when the run has made something. */
  isInput?: true;
  /** Of a `kind`: whether an object without one is of this kind. */
  isDefault?: true;
}

/** A key with its words: what it is for, in whole sentences. */
export function key<T extends z.ZodType>(schema: T, words: string, more: More = {}): T {
  return schema.meta({ description: words, ...more });
}

/**
 * An object of keys of one subject, all of which may be left out. An empty text, or nothing, under one of its keys counts as not
 * set, as it does for the keys beside the group.
 */
export function group<T extends z.ZodRawShape>(shape: T, example: string) {
  return z.preprocess(withoutEmpty, z.strictObject(shape, { error: `an object such as ${example}` })).prefault({});
}

function withoutEmpty(value: unknown): unknown {
  return isValues(value)
    ? Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== "" && inner !== null))
    : value;
}

export function text(pattern: RegExp, allowed: string) {
  return z.string({ error: allowed }).regex(pattern, { error: allowed });
}

/** Any text. YAML reads one of digits alone as a number. */
export function anyText(allowed: string) {
  return z.preprocess((v) => (typeof v === "number" ? String(v) : v), z.string({ error: allowed }));
}

/** A file on the machine that the program runs on. */
export function file() {
  return z.string({ error: "the path of a file on this machine" });
}

/** A whole number; Pulumi hands scalars over as text, structured values as numbers. */
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

/** An IPv4 network with no host bits and a prefix length within bounds. */
export function network(minPrefix: number, maxPrefix: number, example: string) {
  const allowed = `an IPv4 network of prefix length /${minPrefix} to /${maxPrefix} such as ${example}`;
  return z.string({ error: allowed }).superRefine((value, ctx) => {
    const prefix = Number(value.split("/")[1]);
    if (!isNetwork(value) || prefix < minPrefix || prefix > maxPrefix) {
      const meant = networkOf(value);
      ctx.addIssue(meant && meant !== value ? `${allowed}; for this one write ${meant}` : allowed);
    }
  });
}

/** A path on the hosts. It becomes part of shell scripts. */
export function hostPath(example: string) {
  return text(
    /^\/[A-Za-z0-9._/+@-]+$/,
    `an absolute path on the hosts, of letters, digits and . _ / + @ -, such as ${example}`,
  );
}

/** An object whose keys somebody else defines. */
export function freeForm(allowed: string) {
  return z.record(z.string(), z.unknown(), { error: allowed });
}

const semver = /^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$/;

/** @param oldestMinor of 1.x. */
export function version(oldestMinor: number, example: string) {
  const allowed = `a version without v, 1.${oldestMinor}.0 or newer, such as ${example}`;
  return z.string({ error: allowed }).refine(
    (value) => {
      const parts = semver.exec(value);
      return parts !== null && parts[1] === "1" && Number(parts[2]) >= oldestMinor;
    },
    { error: allowed },
  );
}

/** A version of a package that is released by three numbers. */
export function release(example: string) {
  return text(/^\d+\.\d+\.\d+$/, `a version without v such as ${example}`);
}
