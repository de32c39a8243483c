/** References to stacks: the one kind of resource that is read, and only the stack's own. */
import { ORGANIZATION } from "./run";
import { containsSecret, Props } from "./values";

export const STACK_REFERENCE_TYPE = "pulumi:pulumi:StackReference";

/** Whether a reference's name means the stack itself, in any of the forms that a backend without a cloud takes. */
export function namesStack(reference: string, project: string, stack: string): boolean {
  return [stack, `${ORGANIZATION}/${stack}`, `${ORGANIZATION}/${project}/${stack}`].includes(reference);
}

/** What a reference reads. */
export function stackReferenceOutputs(reference: string, outputs: Props): Props {
  const secretOutputNames = Object.keys(outputs).filter((name) => containsSecret(outputs[name]!));
  return { name: reference, outputs, secretOutputNames: secretOutputNames.sort() };
}
