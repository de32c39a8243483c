/** Keys and values in messages, and the error that has every problem of a config. */

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
