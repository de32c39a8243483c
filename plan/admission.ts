/**
 * What lets a machine into the cluster: bootstrap tokens and the key of the uploaded certificates. They are derived from
 * a secret seed, so that the program can name them before the host that mints them has spoken, and are of no use but for
 * the minutes around a join. Neither tells anything about the seed.
 */
import { createHmac } from "node:crypto";

const tokenAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
// The largest multiple of 36 below 256: bytes from there on would make some characters likelier than others.
const unbiased = 256 - (256 % tokenAlphabet.length);

/** An endless stream of pseudo-random bytes: HMAC-SHA256 in counter mode. The label keeps uses of one seed apart. */
function* derive(seed: string, label: string, purpose: string): Generator<number> {
  if (seed === "") {
    throw new Error("admission secrets need a seed that is not empty");
  }
  for (let block = 0; ; block++) {
    yield* createHmac("sha256", seed)
      .update(JSON.stringify([label, purpose, block]))
      .digest();
  }
}

/**
 * A bootstrap token `[a-z0-9]{6}.[a-z0-9]{16}` for one purpose, the same each time. Throws on an empty seed.
 *
 * @param seed secret, at least 128 bits of entropy.
 * @param purpose what the token is for; another purpose gives an unrelated token.
 */
export function bootstrapToken(seed: string, purpose: string): string {
  let characters = "";
  for (const byte of derive(seed, "bootstrap-token", purpose)) {
    if (byte < unbiased) {
      characters += tokenAlphabet[byte % tokenAlphabet.length];
    }
    if (characters.length === 22) {
      break;
    }
  }
  return `${characters.slice(0, 6)}.${characters.slice(6)}`;
}

/**
 * A key for kubeadm's uploaded certificates: 32 bytes as 64 hex digits, the same each time. Throws on an empty seed.
 *
 * @param seed secret, at least 128 bits of entropy.
 * @param purpose what the key is for; another purpose gives an unrelated key.
 */
export function certificateKey(seed: string, purpose: string): string {
  const bytes: number[] = [];
  for (const byte of derive(seed, "certificate-key", purpose)) {
    bytes.push(byte);
    if (bytes.length === 32) {
      break;
    }
  }
  return Buffer.from(bytes).toString("hex");
}
