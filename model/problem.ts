/** Problems of a config as data, and the function that renders them. */
import { keyText, valueText } from "./messages";

export type Path = readonly PropertyKey[];

/** A key of the config: its path, or, if no part has unusual characters, its text such as `nodes[0].host.address`. */
export type Key = string | Path;

export interface Problem {
  path: Key;
  /** The file that the first part of the path names; the rest of the path is inside that file. */
  file?: string;
  /** The number of path parts that name the file; by default, one. */
  keyLength?: number;
  /** The value; absent if it is not set or must not be shown. */
  got?: unknown;
  /** What is wrong, as a continuation after the value. Absent: the key is not set, or its value is not an allowed one. */
  wrong?: string;
  allowed?: string;
  /** What to do; by default, set or correct the value. */
  fix?: string;
  /**
   * Other keys that the problem depends on: if one of them is wrong by itself, the problem is dropped. A key that only has to be
   * set, whatever its value, is not among them.
   */
  about?: readonly Key[];
}

export function pathOf(key: Key): Path {
  if (typeof key !== "string") return key;
  const parts = key.split(/[.[\]]+/).filter((part) => part !== "");
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** The problem in one line: the key, what is wrong, what is allowed, what to do. */
export function problemLine({ path, file, keyLength = 1, got, wrong, allowed, fix }: Problem): string {
  const parts = pathOf(path);
  const where = file === undefined ? "the stack's config" : "the file";
  const key =
    file === undefined
      ? keyText(parts)
      : [`${keyText(parts.slice(0, keyLength))} (${file})`, keyText(parts.slice(keyLength))]
          .filter((part) => part !== "")
          .join(": ");
  if (wrong !== undefined) {
    const value = got === undefined ? "" : `${valueText(got)} `;
    const rule = allowed === undefined ? "" : ` Allowed: ${allowed}.`;
    return `${key}: ${value}${wrong}.${rule} ${fix ?? `Correct it in ${where}.`}`;
  }
  return got === undefined
    ? `${key}: not set. Required: ${allowed}. ${fix ?? `Set it in ${where}.`}`
    : `${key}: ${valueText(got)} is invalid. Allowed: ${allowed}. ${fix ?? `Correct it in ${where}.`}`;
}

/** The problems, which also depend on these keys. */
export function resting(problems: readonly Problem[], ...keys: Key[]): Problem[] {
  return problems.map((one) => ({ ...one, about: [...(one.about ?? []), ...keys] }));
}

/**
 * The problem of a key that does not exist. It does not quote the value, which may be a secret under a mistyped key.
 *
 * @param near the key that the user probably meant.
 */
export function unknownKey(path: Path, known: readonly string[], near = nearest(String(path.at(-1)), known)): Problem {
  return {
    path,
    wrong: "there is no such key",
    allowed: known.join(", "),
    fix: near === undefined ? "Remove it." : `Did you mean ${near}?`,
  };
}

/** The candidate with the smallest edit distance to the word; undefined if none is close. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, word.length / 3) ? best.candidate : undefined;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
