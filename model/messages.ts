/** How problems in the config are told: one line each, with the key, the value, what is allowed and what to do. */

/** Thrown with every problem of a config at once. */
export class ConfigError extends Error {
  constructor(
    /** One line a problem. */
    readonly problems: readonly string[],
  ) {
    const count = problems.length === 1 ? "is a problem" : `are ${problems.length} problems`;
    super(`there ${count} in the stack's config:\n${problems.map((line) => `  - ${line}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

/** A path of keys and list positions as a user writes it: `nodes[0].host.port`. */
export function keyText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") {
      return `${text}[${part}]`;
    }
    const key = String(part);
    // A label's key has dots of its own.
    return /^[\w-]+$/.test(key) ? `${text}${text && "."}${key}` : `${text}[${JSON.stringify(key)}]`;
  }, "");
}

/** Texts that are secret under any key: Tailscale's keys, private keys, a password in a URL. */
const secretTexts = [/\btskey-[a-z]+-[A-Za-z0-9]/, /-----BEGIN [A-Z ]*PRIVATE KEY-----/, /\w:\/\/[^/\s:@]*:[^/\s@]+@/];

/** Whether a text can be told to hold a secret by its looks. */
export function looksSecret(text: string): boolean {
  return secretTexts.some((pattern) => pattern.test(text));
}

/** A value as it is written in a config: texts without quotes, all else as JSON. */
export function plainText(value: unknown): string {
  // What JSON has no words for is in no config.
  return typeof value === "string" ? value : (JSON.stringify(value) ?? typeof value);
}

/** A value for a message, cut where it is long. One that looks like a secret is not shown. */
export function valueText(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? typeof value);
  if (looksSecret(text)) {
    return "a secret, not shown here,";
  }
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The line for a value that is not allowed. */
export function refused(
  key: string,
  value: unknown,
  allowed: string,
  todo = "Correct it in the stack's config.",
): string {
  return value === undefined
    ? `${key}: not set. Wanted: ${allowed}. Set it in the stack's config.`
    : `${key}: ${valueText(value)} is refused. Allowed: ${allowed}. ${todo}`;
}

/** The line for a key that does not exist. Its value is not quoted: it may be a secret under a mistyped key. */
export function unknownKey(parent: string, key: string, known: readonly string[]): string {
  const full = parent === "" ? keyText([key]) : `${parent}.${key}`;
  const near = nearest(key, known);
  const todo = near === undefined ? "Remove it." : `Did you mean ${near}?`;
  return `${full}: there is no such key. Allowed: ${known.join(", ")}. ${todo}`;
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
