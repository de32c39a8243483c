/** A cluster's authorities. They are created once, are valid for ten years, and nothing renews them. */
import { X509Certificate } from "node:crypto";

/** Certificates and keys are PEM. */
export interface Authorities {
  /** The membership ID of the control plane that may initialize the cluster; all others join it. */
  founder: string;
  /** The secret from which bootstrap tokens and the key for Secrets are derived: 64 hex digits. */
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

/** An authority of the outputs. */
export interface AuthorityOutput {
  name: string;
  /** When its certificate expires, RFC 3339. */
  expires: string;
}

const daysOfWarning = 365;

/**
 * The parts of the authorities that are not secret, without certificates that cannot be parsed.
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

/** A line for each authority that expires within a year. */
export function authorityWarnings(authorities: readonly AuthorityOutput[], now: Date): string[] {
  return authorities.flatMap(({ name, expires }) => {
    const days = Math.floor((new Date(expires).getTime() - now.getTime()) / 86_400_000);
    if (days >= daysOfWarning) return [];
    const when = days < 0 ? `expired at ${expires}` : `expires at ${expires}, in ${days} days`;
    return [
      `The cluster's certificate authority ${name} ${when}. The certificates of nodes and users expire with it, and ` +
        "kubernetes.certificateRenewal does not renew it. Create a new cluster before then, or replace the authorities by hand " +
        "(https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/).",
    ];
  });
}
