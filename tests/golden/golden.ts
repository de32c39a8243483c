import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";

/**
 * Compares a text with the file `tests/golden/<name>.golden`. With UPDATE_GOLDEN=1 in the environment the file is written
 * instead; the change is then for the reviewer of the diff to judge.
 */
export function expectGolden(name: string, actual: string): void {
  const path = join(__dirname, `${name}.golden`);
  if (process.env.UPDATE_GOLDEN === "1") {
    writeFileSync(path, actual);
    return;
  }
  expect(existsSync(path), `${path} is missing; make it with UPDATE_GOLDEN=1`).to.equal(true);
  expect(actual).to.equal(readFileSync(path, "utf8"));
}
