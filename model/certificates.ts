import { X509Certificate } from "node:crypto";

/** The certificates in a text, PEM; undefined if there is none, or one that cannot be read. Other text around them is passed over. */
export function certificatesIn(text: string): string[] | undefined {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const one of found) new X509Certificate(one);
  } catch {
    return undefined;
  }
  return found.length === 0 ? undefined : found;
}
