/** Unencrypted secrets in the stack's file. No message contains a secret, or a part of one. */
import { keyText, looksSecret } from "../model/messages";
import type { Problem } from "../model/problem";
import { isSecretKey } from "./schema/secrets";

/**
 * The problems of unencrypted secrets, by the text of the key: one for each secret key that is not encrypted, and one for each text
 * under another key that looks like a secret.
 *
 * @param raw the stack's config by key.
 * @param isEncrypted whether the value of a key is encrypted in the stack's file.
 */
export function exposedSecrets(
  raw: Readonly<Record<string, unknown>>,
  isEncrypted: (key: string) => boolean,
): ReadonlyMap<string, Problem> {
  const found = new Map<string, Problem>();
  for (const [key, value] of Object.entries(raw)) {
    if (value === undefined || isEncrypted(key)) continue;
    if (isSecretKey(key)) {
      found.set(key, {
        path: key,
        wrong: "it is not encrypted in the stack's config",
        allowed: "an encrypted value",
        fix: `Set it again (pulumi config set --secret ${key}), with a new secret if anyone else could read this one.`,
      });
      continue;
    }
    for (const path of secretPaths(value, [key])) {
      found.set(keyText(path), {
        path,
        wrong: "it contains an unencrypted secret (not shown)",
        allowed: /File$/.test(String(path.at(-1))) ? "the path of a file with the secret" : "a text without secrets",
        fix: "Remove the secret, and create a new one if anyone else could read it.",
      });
    }
  }
  return found;
}

/** Where in a value there are texts that look like secrets. */
function secretPaths(value: unknown, path: readonly PropertyKey[]): (readonly PropertyKey[])[] {
  if (typeof value === "string") return looksSecret(value) ? [path] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    secretPaths(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}
