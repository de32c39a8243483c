import { existsSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import { bash } from "../../host/bash";

interface CutShort {
  text: string;
  /** Where its last line begins, the only one that is not a definition. */
  last: number;
  /** Files that the script makes at its start and at its end. */
  started: string;
  ended: string;
  /** How many lengths before the last line are tried, and the distance between those that are tried within it. */
  numRuns: number;
  step: number;
}

/** A script that arrives cut short does nothing before its last line, and within that line does all of it or nothing. */
export function expectNothingCutShort({ text, last, started, ended, numRuns, step }: CutShort): void {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: last }), (length) => {
      bash(text.slice(0, length), "apply");
      expect(existsSync(started)).to.equal(false);
    }),
    { numRuns, examples: [[0], [last]] },
  );
  for (let length = last + 1; length < text.length; length += step) {
    bash(text.slice(0, length), "apply");
    expect(existsSync(ended), text.slice(last, length)).to.equal(existsSync(started));
  }
}
