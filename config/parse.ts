/** Checks what a user has written against a schema, and returns the problems of single keys and the valid rest. */
import { z } from "zod";
import { isValues } from "../model/merge";
import { nearest, type Path, pathOf, type Problem, unknownKey } from "../model/problem";
import { standInFor } from "./schema/stand-ins";

export interface Parsed<T> {
  problems: Problem[];
  /** Keys without a valid value. */
  wrong: Path[];
  /** The values, with defaults. A wrong key has its default or its stand-in. */
  values: T;
}

/** @param file the file that the input comes from, if any: its path, and the key that names it. */
export function parseSound<T extends z.ZodType>(
  schema: T,
  input: unknown,
  file?: { key: string; path: string },
): Parsed<z.output<T>> {
  const first = schema.safeParse(input);
  if (first.success) return { problems: [], wrong: [], values: first.data };
  const { issues } = first.error;
  const prefix = file === undefined ? [] : [file.key];
  return {
    problems: issues
      .flatMap((issue) => issueProblems(issue, schema, input))
      .map((one) => ({ ...one, path: [...prefix, ...one.path], ...(file && { file: file.path }) })),
    wrong: issues.flatMap((issue) => wrongKeys(issue, schema, input)).map((path) => [...prefix, ...path]),
    values: soundPart(schema, input, issues),
  };
}

/** The problems of one of zod's issues. The message of every schema says what is allowed. */
function issueProblems(issue: z.core.$ZodIssue, schema: unknown, input: unknown): (Problem & { path: Path })[] {
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path, schema, input);
    return issue.keys.map((key) => ({ ...unknownKey([...issue.path, key], known), path: [...issue.path, key] }));
  }
  return [{ path: issue.path, got: valueAt(input, issue.path), allowed: issue.message }];
}

/**
 * The key that an unknown one probably means, unless that key is set, too.
 *
 * @param near its path within the object that contains the key at `path`.
 */
export function meantKey(path: Path, near: string | undefined, input: unknown): Path | undefined {
  const meant = near === undefined ? undefined : [...path.slice(0, -1), ...pathOf(near)];
  return meant !== undefined && valueAt(input, meant) === undefined ? meant : undefined;
}

/** The keys that an issue leaves without a valid value. */
function wrongKeys(issue: z.core.$ZodIssue, schema: unknown, input: unknown): Path[] {
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path, schema, input);
    return issue.keys
      .map((key) => meantKey([...issue.path, key], nearest(key, known), input))
      .filter((path) => path !== undefined);
  }
  // The kind determines what the other keys of its object mean.
  return [issue.path.at(-1) === "kind" ? issue.path.slice(0, -1) : issue.path];
}

/** The input, with a stand-in for each wrong value, or without the value if it has no stand-in. */
function soundPart<T extends z.ZodType>(schema: T, input: unknown, issues: readonly z.core.$ZodIssue[]): z.output<T> {
  const holder = { input: structuredClone(input) };
  // Each round moves at most one level up or down, and no schema is this deep.
  for (let left = issues, round = 0; round < 20; round++) {
    for (const issue of left) {
      if (issue.code !== "unrecognized_keys") replace(holder, issue.path);
      else for (const key of issue.keys) delete (valueAt(holder.input, issue.path) as Record<string, unknown>)[key];
    }
    const parsed = schema.safeParse(holder.input);
    if (parsed.success) return parsed.data;
    left = parsed.error.issues;
  }
  throw new Error("no part of the config can be read");
}

function replace(holder: { input: unknown }, path: Path): void {
  const standIn = path.length === 0 ? {} : standInFor(path);
  const parent = valueAt(holder, ["input", ...path].slice(0, -1)) as Record<PropertyKey, unknown>;
  const last = path.at(-1) ?? "input";
  if (standIn !== undefined) parent[last] = standIn;
  else if (last in parent) delete parent[last];
  else replace(holder, path.slice(0, -1));
}

function valueAt(input: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], input);
}

/** The keys of the strict object at a path of a schema. */
function knownKeys(path: Path, schema: unknown, input: unknown): string[] {
  let at = schema;
  let value = input;
  for (const part of path) {
    const { shape, element } = unwrap(at, value);
    at = typeof part === "number" ? element : shape?.[String(part)];
    value = (value as Record<PropertyKey, unknown> | undefined)?.[part];
  }
  return Object.keys(unwrap(at, value).shape ?? {});
}

interface Schema {
  shape?: Record<string, z.core.$ZodType>;
  element?: unknown;
  /** Of a union; `kind` says which option a value is. */
  options?: Schema[];
  /** Of a preprocessed schema. */
  out?: Schema;
  unwrap?: () => Schema;
}

/** The object or the list inside of `.default()`, `.optional()`, a preprocessed schema and, by the value's kind, of a union. */
function unwrap(schema: unknown, value: unknown): Schema {
  let at = schema as Schema;
  while (at.shape === undefined && at.element === undefined) {
    const kind = (isValues(value) ? value.kind : undefined) ?? "ssh";
    const inner = at.options?.find((one) => z.safeParse(one.shape!.kind!, kind).success) ?? at.out ?? at.unwrap?.();
    if (inner === undefined) break;
    at = inner;
  }
  return at;
}
