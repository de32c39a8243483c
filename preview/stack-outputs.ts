/** What the stack's last run left to this one: its outputs, read by a reference of the stack to itself. */
import * as pulumi from "@pulumi/pulumi";

/** The outputs that the current stack had before this run. */
export interface PreviousOutputs {
  /** What reads them, to be waited for. */
  readonly reference: pulumi.Resource;
  /** The output of that name, secret only if it was; undefined if the stack had none. */
  get(name: string): pulumi.Output<unknown>;
}

/**
 * Reads the current stack's own outputs as its state holds them when this run begins, in a preview as well as in an
 * update. Call it once in a program: it registers a resource, named `last`.
 *
 * A program's outputs reach the state together, at the end of the run, if all of them were known by then. So they are
 * those of the last `pulumi up` that came that far, **be it that it failed**: a run whose outputs needed nothing that
 * failed leaves its own, and of those that it did not export the former ones. An output that is to say what was done
 * has to be made from what does it; then a run that fails before leaves all outputs as they were. A stack that is new,
 * or destroyed, has none.
 *
 * They differ from one run to the next whenever the outputs do: what is made from them is no input to compare by.
 */
export function previousOutputs(opts?: pulumi.CustomResourceOptions): PreviousOutputs {
  const name = `${organization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  const reference = new pulumi.StackReference("last", { name }, opts);
  const { outputs, secretOutputNames } = reference;
  return {
    reference,
    get: (output) => {
      // All outputs together are secret as soon as one of them is. Not StackReference.getOutput: it fails without outputs.
      const found = pulumi.unsecret(
        pulumi.all([outputs, secretOutputNames, pulumi.isSecret(outputs)]).apply(([values, secrets, isAnySecret]) => ({
          value: (values as Record<string, unknown> | undefined)?.[output],
          isSecret: (secrets as string[] | undefined)?.includes(output) ?? isAnySecret,
        })),
      );
      return found.apply<unknown>(({ value, isSecret }) => (isSecret ? pulumi.secret(value) : value));
    },
  };
}

/** Engines always have one; mocks only if they are given one. Without a cloud all stacks are of `organization`. */
function organization(): string {
  try {
    return pulumi.getOrganization();
  } catch {
    return "organization";
  }
}
