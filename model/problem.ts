/** What is wrong with a config, as data, and the one place that makes a line of it. */
import { keyText, valueText } from "./messages";

export type Path = readonly PropertyKey[];

/** A key of the config: its path, or the text of one that has no unusual names in it, such as `nodes[0].host.address`. */
export type Key = string | Path;

export interface Problem {
  path: Key;
  /** The file that the beginning of the path names, and that the rest of the path is in. */
  file?: string;
  /** How many parts of the path that beginning has. Absent: one. */
  keyLength?: number;
  /** The value; absent where nothing is set, or it must not be shown. */
  got?: unknown;
  /** What is wrong with it, to be read after the value. Absent: it is not set, or is not one of those that are allowed. */
  wrong?: string;
  allowed?: string;
  /** What to do. Absent: set or correct it. */
  fix?: string;
  /**
   * Further keys that the problem rests on: where one of them, or its own, is wrong by itself, nothing is known of it. A key
   * whose value makes no difference, but only that there is one, is none of these.
   */
  about?: readonly Key[];
}

export function pathOf(key: Key): Path {
  if (typeof key !== "string") return key;
  const parts = key.split(/[.[\]]+/).filter((part) => part !== "");
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** The problem in a line: the key, what is wrong, what is allowed, what to do. */
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
    ? `${key}: not set. Wanted: ${allowed}. ${fix ?? `Set it in ${where}.`}`
    : `${key}: ${valueText(got)} is refused. Allowed: ${allowed}. ${fix ?? `Correct it in ${where}.`}`;
}

/** The line for a value that is not allowed. */
export function refused(path: Key, got: unknown, allowed: string, fix?: string): string {
  return problemLine({ path, got, allowed, fix });
}

/** The problems, which all rest on these keys as well. */
export function resting(problems: readonly Problem[], ...keys: Key[]): Problem[] {
  return problems.map((one) => ({ ...one, about: [...(one.about ?? []), ...keys] }));
}

/**
 * The problem of a key that does not exist. Its value is not quoted: it may be a secret under a mistyped key.
 *
 * @param near the key that it may be meant for.
 */
export function unknownKey(path: Path, known: readonly string[], near = nearest(String(path.at(-1)), known)): Problem {
  return {
    path,
    wrong: "there is no such key",
    allowed: known.join(", "),
    fix: near === undefined ? "Remove it." : `Did you mean ${near}?`,
  };
}

/** The candidate that takes the fewest edits to become the word; undefined if even that one is far off. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(2, word.length / 3) ? best.candidate : undefined;
}

/** Levenshtein's distance. */
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
