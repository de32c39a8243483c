/** Whether the state has every step as it is declared, so that outputs claim nothing that was not done. */
import * as pulumi from "@pulumi/pulumi";

/** For each step on a host or in the cluster: whether the state has it as it is declared. */
const steps: pulumi.Output<boolean>[] = [];

/** The number of steps so far, for `doneSince`. */
export const stepsSoFar = () => steps.length;

/**
 * Notes a step by a text that contains everything it does.
 *
 * @param done the text in the step's resource. If the run skips the resource (`pulumi up --target`), this is the text of an earlier run.
 */
export function noteStep(done: pulumi.Output<string | undefined>, wanted: pulumi.Output<string>): void {
  // Whether two texts are equal is not secret.
  steps.push(pulumi.unsecret(pulumi.all([done, wanted]).apply(([is, shall]) => is === shall)));
}

/** Whether all steps since then are done as they are declared. */
export function doneSince(count: number): pulumi.Output<boolean> {
  return pulumi.all(steps.slice(count)).apply((all) => all.every((isDone) => isDone));
}
