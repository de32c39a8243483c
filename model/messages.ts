/** Thrown with every problem of a config at once. */
export class ConfigError extends Error {
  constructor(
    /** One line per problem. */
    readonly problems: readonly string[],
  ) {
    const count = problems.length === 1 ? "is a problem" : `are ${problems.length} problems`;
    super(`there ${count} in the stack's config:\n${problems.map((line) => `  - ${line}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

/** `cp1, cp2 and w1`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A path of keys and list positions as a user writes it: `nodes[0].host.port`. */
export function keyText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    const key = String(part);
    // The key of a label may contain dots.
    return /^[\w-]+$/.test(key) ? `${text}${text && "."}${key}` : `${text}[${JSON.stringify(key)}]`;
  }, "");
}

/** Secrets that can be recognized: Tailscale's keys, private keys, a password in a URL. */
const secretTexts = [/\btskey-[a-z]+-[A-Za-z0-9]/, /-----BEGIN [A-Z ]*PRIVATE KEY-----/, /\w:\/\/[^/\s:@]*:[^/\s@]+@/];

/** Whether a text contains a recognizable secret. */
export function looksSecret(text: string): boolean {
  return secretTexts.some((pattern) => pattern.test(text));
}

/** A value as it is written in a config: text without quotes, everything else as JSON. */
export function plainText(value: unknown): string {
  // No config contains values that JSON cannot express.
  return typeof value === "string" ? value : (JSON.stringify(value) ?? typeof value);
}

/** A value for a message, shortened if it is long. One that looks like a secret is not shown. */
export function valueText(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(value) ?? typeof value);
  if (looksSecret(text)) return "a secret (not shown)";
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
