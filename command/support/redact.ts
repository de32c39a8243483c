/** Removes secrets from texts: those of the stack, in each form that a log may have them, and what looks like one. Pure. */

/** What replaces a secret. */
export const redacted = "[redacted]";

/** Shorter ones are removed only as whole words: each letter of a text would otherwise be at risk. */
const shortest = 6;

/** Kinds of secrets by their form. The first group, if there is one, stays. */
const patterns: readonly RegExp[] = [
  // Keys in PEM, whole or cut, with their line breaks as they are or as in JSON.
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$(?![\s\S]))/g,
  // The same in base64: `-----BEGIN`, of whatever kind, and as client-key-data of a kubeconfig.
  /((?:client-key|token|password)(?:-data)?["']?\s*[:=]\s*["']?)[^\s"',}]+/gi,
  /\bLS0tLS1CRUdJTi[A-Za-z0-9+/=]{40,}/g,
  // Tailscale's keys, node keys and machine keys.
  /\btskey-[A-Za-z0-9_~.-]+/g,
  /\b(?:privkey|hskey|nlpriv|sharerkey):[A-Za-z0-9]{8,}/g,
  // Tokens: kubeadm's, JSON web tokens, and what an HTTP header has.
  /\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.?[A-Za-z0-9_-]*/g,
  /\b((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}/g,
  // A password in a URL, and other credentials by their name.
  /\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/gi,
  /((?:passwd|passphrase|secret[-_]?key|access[-_]?key|auth[-_]?key|api[-_]?key|certificate-key|aescbc|secretbox)["']?\s*[:=]\s*["']?)[^\s"',}]+/gi,
];

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A redactor of these secrets. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const all = [...new Set(secrets.flatMap(formsOf))].filter((one) => one !== "").sort((a, b) => b.length - a.length);
  const words = all.map((one) =>
    one.length >= shortest ? escaped(one) : `(?<![A-Za-z0-9])${escaped(one)}(?![A-Za-z0-9])`,
  );
  const known = words.length === 0 ? undefined : new RegExp(words.join("|"), "g");
  return (text) => {
    // Known ones first: a form that ends within one would leave its rest.
    const rest = known === undefined ? text : text.replace(known, redacted);
    return patterns.reduce(
      (now, pattern) =>
        now.replace(pattern, (_, kept: unknown) => `${typeof kept === "string" ? kept : ""}${redacted}`),
      rest,
    );
  };
}

/** A secret as it may be written: whole, a line of it, a password in a line of several words, and each of them encoded. */
function formsOf(secret: string): string[] {
  return partsOf(secret).flatMap((part) => [
    part,
    JSON.stringify(part).slice(1, -1),
    encodeURIComponent(part),
    ...(part.length >= shortest ? base64Forms(part) : []),
  ]);
}

function base64Forms(text: string): string[] {
  const bare = (one: string) => Buffer.from(one).toString("base64").replace(/=+$/, "");
  return [bare(text), bare(`${text}\n`), bare(text).replaceAll("+", "-").replaceAll("/", "_")].filter(
    (one) => one.length >= shortest,
  );
}

function partsOf(secret: string): string[] {
  const whole = secret.trim();
  const lines = whole.split(/\r?\n/).map((line) => line.trim());
  const isKey = whole.startsWith("-----BEGIN");
  const ofLines = lines.flatMap((line) => {
    if (isKey) return line.startsWith("-----") ? [] : [line];
    // `HOST USER:PASSWORD` of registries, `NODE PASSWORD` of sudo.
    const [, rest] = /^\S+ (.+)$/.exec(line) ?? [];
    const [, password] = /^[^\s:/]+:(.+)$/.exec(rest ?? line) ?? [];
    return [
      line,
      ...(rest === undefined ? [] : [rest]),
      ...(password === undefined || password.startsWith("//") ? [] : [password]),
    ];
  });
  return [whole, ...ofLines].filter((part) => part !== "");
}
