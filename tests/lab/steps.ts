/** A suite whose tests are steps: each needs what those before it made. */
import { afterEach, beforeEach } from "mocha";

/**
 * After a test of this suite has failed its later ones are skipped, which is said. Mocha's own `bail` also passes over suites that have
 * nothing to do with the failure, without a word.
 */
export function inSteps(): void {
  let failed: string | undefined;
  afterEach(function () {
    if (this.currentTest?.state === "failed") failed ??= this.currentTest.title;
  });
  beforeEach(function () {
    if (failed === undefined) return;
    console.log(`      skipped, because "${failed}" failed before it:`);
    this.skip();
  });
}
