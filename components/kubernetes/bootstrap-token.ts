/**
 * Bootstrap tokens of workers. They are derived from a secret seed, so that both sides of a join know them beforehand, and are valid
 * only during the join. They do not reveal the seed.
 */
import { createHmac } from "node:crypto";

const tokenAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
// The largest multiple of 36 below 256: larger bytes would make some characters more likely than others.
const unbiased = 256 - (256 % tokenAlphabet.length);

/** An endless stream of pseudo-random bytes: HMAC-SHA256 in counter mode. The label keeps uses of one seed apart. */
function* derive(seed: string, label: string, purpose: string): Generator<number> {
  if (seed === "") throw new Error("admission secrets need a seed that is not empty");
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
    if (characters.length === 22) break;
  }
  return `${characters.slice(0, 6)}.${characters.slice(6)}`;
}

/** The worker that a token is for. */
export interface Joiner {
  name: string;
  membershipId: string;
  /** Random text that the host keeps until its cleanup. */
  nonce: string;
}

/** A worker's token: unique, and different if a host is removed and added again. */
export function joinToken(seed: string, { name, membershipId, nonce }: Joiner): string {
  return bootstrapToken(seed, JSON.stringify(["worker", name, membershipId, nonce]));
}
