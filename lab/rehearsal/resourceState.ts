/** The state of a resource, as the engine makes it. */
import type { Goal } from "./goal";
import type { ResourceState } from "./state/deployment";
import { isProviderType, urnName } from "./urn";
import { Props, secret } from "./values";

/** The state that a goal is to have, before anything was done for it. */
export function newState(
  urn: string,
  goal: Goal,
  inputs: Props,
  provider: string,
  old: ResourceState | undefined,
): ResourceState {
  const formerUrns = [...(old && old.urn !== urn ? [old.urn] : []), ...(old?.aliases ?? [])];
  const state: ResourceState = { urn, custom: goal.custom, type: goal.type, inputs };
  const members = {
    parent: goal.parent,
    protect: goal.protect,
    dependencies: goal.dependencies,
    provider,
    propertyDependencies: goal.propertyDependencies,
    additionalSecretOutputs: goal.additionalSecretOutputs,
    aliases: [...new Set(formerUrns)].filter((alias) => alias !== urn),
    retainOnDelete: goal.retainOnDelete,
    deletedWith: goal.deletedWith,
    created: old?.created,
    modified: old?.modified,
    ignoreChanges: goal.ignoreChanges,
    replaceOnChanges: goal.replaceOnChanges,
  };
  // What is not set stays absent, as in Pulumi's format.
  for (const [key, value] of Object.entries(members)) {
    const isSet = typeof value === "object" ? Object.keys(value).length > 0 : Boolean(value);
    if (isSet) state[key] = value;
  }
  return state;
}

/** Notes that the resource was created now. */
export function stampCreated(state: ResourceState): void {
  state.created = state.modified = new Date().toISOString();
}

export function stampModified(state: ResourceState): void {
  state.modified = new Date().toISOString();
}

/** Sets the ID and the outputs; those that the program declared secret are marked so. */
export function setOutputs(state: ResourceState, id: string | undefined, outputs: Props | undefined): void {
  if (id !== undefined) state.id = id;
  if (outputs === undefined) return;
  state.outputs = { ...outputs };
  for (const key of state.additionalSecretOutputs ?? []) {
    const value = outputs[key];
    if (value !== undefined) state.outputs[key] = secret(value);
  }
}

/** The outputs of a provider, as Pulumi's engine keeps them: its inputs without the engine's own bookkeeping. */
export function providerOutputs(state: ResourceState): Props {
  const outputs = { ...state.inputs };
  delete outputs.__internal;
  return outputs;
}

/** Default providers are the engine's own business: nobody is told of them. */
export function isDefaultProvider(state: ResourceState): boolean {
  return isProviderType(state.type) && /^default(_|$)/.test(urnName(state.urn)) && !state.parent;
}
