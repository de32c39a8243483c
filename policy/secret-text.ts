/** How the secrets of this program look, so that one that nobody marked is found. */

const base64 = (text: string) => Buffer.from(text).toString("base64");
/** As far as the base64 text does not depend on what follows. */
const base64Start = (text: string) => base64(text).slice(0, Math.floor((text.length * 8) / 6));

const patterns: readonly RegExp[] = [
  /-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----/,
  // In kubeconfigs and Secrets.
  ...["", "RSA ", "EC ", "OPENSSH "].map((type) => new RegExp(base64Start(`-----BEGIN ${type}PRIVATE KEY-----`))),
  // A kubeconfig's.
  /\bclient-key-data["']?: *["']?[A-Za-z0-9+/]/,
  // Keys of a tailnet: https://tailscale.com/kb/1252/key-prefixes.
  /\btskey-[a-z]+-[A-Za-z0-9]/,
  // A key of 32 bytes in an EncryptionConfiguration.
  /\bsecret["']?: *["']?[A-Za-z0-9+/]{43}=/,
  // A bootstrap token of kubeadm.
  /(^|[^A-Za-z0-9.-])[a-z0-9]{6}\.[a-z0-9]{16}($|[^A-Za-z0-9.-])/,
];

/** Whether a text holds a private key, one that encrypts Secrets, a tailnet's key or a bootstrap token. */
export function holdsSecret(text: string): boolean {
  return patterns.some((pattern) => pattern.test(text));
}
