import { createHash } from "node:crypto";

/**
 * Some tests kill a script before each of its commands, or fail each of its requests. By default they try a few places, which
 * TAILKUBE_SEED moves; with TAILKUBE_ALL_CALLS=1 they try every one, which takes many minutes.
 */
export const isThorough = process.env.TAILKUBE_ALL_CALLS === "1";
const seed = process.env.TAILKUBE_SEED ?? "1";

/** How to get the same places again, or all of them; for a test's title. */
export const placesTried = isThorough ? "all places" : `some places, by TAILKUBE_SEED=${seed}`;

/** Numbers from 1 to `last`: one from each of `count` equal parts. */
export function someOf(last: number, count: number): number[] {
  if (isThorough || count >= last) return Array.from({ length: last }, (_, i) => i + 1);
  return Array.from({ length: count }, (_, i) => {
    const drawn = createHash("sha256").update(`${seed} ${last} ${i}`).digest().readUInt32BE() / 2 ** 32;
    return 1 + Math.floor(((i + drawn) * last) / count);
  });
}
