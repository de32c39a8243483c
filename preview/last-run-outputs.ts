/** The outputs of the stack's last run, read by a reference of the stack to itself. */
import * as pulumi from "@pulumi/pulumi";

/** The outputs that the current stack had before this run. */
export interface PreviousOutputs {
  /** The resource that reads them, for `dependsOn`. */
  readonly reference: pulumi.Resource;
  /** The output of that name, secret only if it was; undefined if the stack had none. */
  get(name: string): pulumi.Output<unknown>;
}

/**
 * Reads the current stack's own outputs as its state holds them when this run begins, in a preview as well as in an
 * update. Call it once in a program: it registers a resource, named `last`.
 *
 * A program's outputs reach the state together at the end of a run, if all of them are known by then. So these are the outputs of the
 * last `pulumi up` that came that far, **even if it failed**: a run in which only resources failed that no output depends on still
 * saves its outputs. An output that states what was done must therefore depend on what does it; then a run that fails earlier
 * leaves all outputs unchanged. A new or destroyed stack has none.
 *
 * Do not use them as inputs of resources: they change whenever the outputs change.
 */
export function previousOutputs(opts?: pulumi.CustomResourceOptions): PreviousOutputs {
  const name = `${organization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  const reference = new pulumi.StackReference("last", { name }, opts);
  const { outputs, secretOutputNames } = reference;
  return {
    reference,
    get: (output) => {
      // All outputs together are secret if one of them is. Not StackReference.getOutput, which fails without outputs.
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

/** Engines always have an organization, mocks only if one is set. Stacks in other backends are in `organization`. */
function organization(): string {
  try {
    return pulumi.getOrganization();
  } catch {
    return "organization";
  }
}
