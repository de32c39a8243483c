/** What a cluster's authorities are, and when they end. They are made once in its life, for ten years, and nothing renews them. */
import { X509Certificate } from "node:crypto";
import type { AuthorityOutput } from "../../model/outputs";

/** What a cluster keeps for as long as it lives. Certificates and keys are PEM. */
export interface Authorities {
  /** The mark of the control plane that may found the cluster; any other joins it. */
  founder: string;
  /** From which each worker's bootstrap token is derived: 64 hex digits. */
  seed: string;
  caCrt: string;
  caKey: string;
  etcdCaCrt: string;
  etcdCaKey: string;
  frontProxyCaCrt: string;
  frontProxyCaKey: string;
  /** The keys that sign service accounts' tokens. */
  saPub: string;
  saKey: string;
}

const daysOfWarning = 365;

/**
 * What of the authorities is no secret. A certificate that cannot be read is left out.
 *
 * @param certificates PEM, by the authority's name.
 */
export function authoritiesOf(certificates: Readonly<Record<string, string | undefined>>): AuthorityOutput[] {
  return Object.entries(certificates).flatMap(([name, pem]) => {
    const ends = expiry(pem);
    return ends === undefined ? [] : [{ name, expires: ends.toISOString().replace(/\.\d+Z$/, "Z") }];
  });
}

function expiry(pem: string | undefined): Date | undefined {
  if (!pem) return undefined;
  try {
    const ends = new Date(new X509Certificate(pem).validTo);
    return Number.isNaN(ends.getTime()) ? undefined : ends;
  } catch {
    return undefined;
  }
}

/** A line for each authority that ends within a year. */
export function authorityWarnings(authorities: readonly AuthorityOutput[], now: Date): string[] {
  return authorities.flatMap(({ name, expires }) => {
    const days = Math.floor((new Date(expires).getTime() - now.getTime()) / 86_400_000);
    if (days >= daysOfWarning) return [];
    const when = days < 0 ? `ended at ${expires}` : `ends at ${expires}, in ${days} days`;
    return [
      `The certificate of the cluster's authority ${name} ${when}. Certificates of nodes and users end with it, and ` +
        "kubernetes.certificateRenewal does not renew it. Make a new cluster before then, or replace the authorities by hand " +
        "(https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/).",
    ];
  });
}
