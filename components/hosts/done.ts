/** What of this program the state has as it is declared, so that outputs claim nothing that was not done. */
import * as pulumi from "@pulumi/pulumi";

/** Of each step on a host or in the cluster, in the order of the program, whether the state has it as it is declared. */
const steps: pulumi.Output<boolean>[] = [];

/** How many steps there are so far: for `doneSince`. */
export const stepsSoFar = () => steps.length;

/**
 * Notes a step. Its text says all that it does, so that another step has another text.
 *
 * @param done the text as the step's resource has it. An engine that was told to leave that out (`pulumi up --target`) answers with
 * what its last run has left.
 */
export function noteStep(done: pulumi.Output<string | undefined>, wanted: pulumi.Output<string>): void {
  // No secret: whether two texts are the same.
  steps.push(pulumi.unsecret(pulumi.all([done, wanted]).apply(([is, shall]) => is === shall)));
}

/** Whether all steps since then are done as they are declared. */
export function doneSince(count: number): pulumi.Output<boolean> {
  return pulumi.all(steps.slice(count)).apply((all) => all.every((isDone) => isDone));
}
