/** Secrets that stand in the stack's file for everybody to read. Nothing here puts one, or a part of one, into a message. */
import { keyText, looksSecret } from "../model/messages";
import type { Problem } from "../model/problem";
import { isSecretKey } from "./schema/secrets";

/**
 * The problems of secrets in plain, by the text of the key that holds them: one for each key of a secret that is not encrypted, one for each
 * text elsewhere that is a secret by its looks.
 *
 * @param raw what the stack's config holds, key by key; what is not set is undefined.
 * @param isEncrypted whether the stack's file has the value of a key encrypted.
 */
export function exposedSecrets(
  raw: Readonly<Record<string, unknown>>,
  isEncrypted: (key: string) => boolean,
): ReadonlyMap<string, Problem> {
  const found = new Map<string, Problem>();
  for (const [key, value] of Object.entries(raw)) {
    if (value === undefined || isEncrypted(key)) {
      continue;
    }
    if (isSecretKey(key)) {
      found.set(key, {
        path: key,
        wrong: "it stands in plain in the stack's config",
        allowed: "an encrypted value",
        fix: `Set it anew (pulumi config set --secret ${key}), with another secret if anybody else could read this one.`,
      });
      continue;
    }
    for (const path of secretPaths(value, [key])) {
      found.set(keyText(path), {
        path,
        wrong: "it holds a secret in plain, not shown here",
        allowed: /File$/.test(String(path.at(-1))) ? "the path of a file that holds it" : "a text without secrets",
        fix: "Remove the secret, and make another one if anybody else could read it.",
      });
    }
  }
  return found;
}

/** Where in a value there are texts that look like secrets. */
function secretPaths(value: unknown, path: readonly PropertyKey[]): (readonly PropertyKey[])[] {
  if (typeof value === "string") {
    return looksSecret(value) ? [path] : [];
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([key, inner]) =>
    secretPaths(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}
