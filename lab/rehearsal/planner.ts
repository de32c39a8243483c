/** Decides what has to be done for a resource. Pure. */
import { Change, diffProps } from "./diff";
import type { Goal } from "./goal";
import { covers, parsePath } from "./paths";
import type { Performer } from "./providers/provider";
import type { ResourceState } from "./state/deployment";
import { parseProviderReference } from "./urn";
import { Props, UNKNOWN } from "./values";

export type Plan =
  | { action: "create" }
  | { action: "same" }
  | { action: "update"; changes: Change[] }
  | { action: "replace"; changes: Change[]; deleteBeforeReplace: boolean };

/** What asks for a new resource, whatever its inputs are. */
export interface Circumstances {
  /** The resource's provider is another one, which cannot go on with what the old one made. */
  isProviderReplaced: boolean;
  /** What the resource vanishes with is replaced in this run. */
  isHostReplaced: boolean;
  /** The old resource was deleted in this run already, as a dependent of a replaced one. */
  wasDeleted: boolean;
}

/** @param inputs the checked inputs */
export function plan(
  goal: Goal,
  inputs: Props,
  old: ResourceState | undefined,
  performer: Performer | undefined,
  { isProviderReplaced, isHostReplaced, wasDeleted }: Circumstances,
): Plan {
  if (!old) return { action: "create" };
  // What the inputs do not ask for is no matter of the provider's: without the program's word the new one comes first.
  const forced = (changes: Change[]): Plan => ({
    action: "replace",
    changes,
    deleteBeforeReplace: goal.deleteBeforeReplace ?? false,
  });
  if (old.custom !== goal.custom) return forced([]);
  const changes = performer
    ? applyReplaceOnChanges(performer.diff(old, inputs), goal.replaceOnChanges)
    : diffProps(old.inputs ?? {}, inputs);
  if (old.pendingReplacement || wasDeleted) return { action: "replace", changes, deleteBeforeReplace: true };
  if (isProviderReplaced || isHostReplaced) return forced(changes);
  if (changes.some((change) => change.replace)) {
    const deleteBeforeReplace = goal.deleteBeforeReplace ?? performer?.deletesBeforeReplace?.(old, inputs) ?? false;
    return { action: "replace", changes, deleteBeforeReplace };
  }
  return changes.length > 0 ? { action: "update", changes } : { action: "same" };
}

function applyReplaceOnChanges(changes: Change[], replaceOnChanges: string[]): Change[] {
  const patterns = replaceOnChanges.map(parsePath);
  return changes.map((change) => ({
    ...change,
    replace: change.replace || patterns.some((pattern) => covers(pattern, change.path)),
  }));
}

/**
 * The dependents of a resource that have to be deleted before it when it is deleted before its replacement is created:
 * those that would be replaced too when the properties which depend on it change, those whose provider it is, and those
 * that vanish with it. Each comes after what it depends on.
 *
 * @param candidates the old resources that are not yet registered in this run, dependencies first
 * @param performerOf what performs an old resource
 */
export function dependentReplacements(
  root: ResourceState,
  candidates: ResourceState[],
  performerOf: (resource: ResourceState) => Performer,
): ResourceState[] {
  const replaced = new Set([root.urn]);
  const result: ResourceState[] = [];
  for (const resource of candidates) {
    if (resource === root || resource.delete || !resource.custom || resource.external) continue;
    if (!mustBeReplaced(resource, replaced, performerOf)) continue;
    replaced.add(resource.urn);
    result.push(resource);
  }
  return result;
}

function mustBeReplaced(
  resource: ResourceState,
  replaced: Set<string>,
  performerOf: (resource: ResourceState) => Performer,
): boolean {
  if (resource.provider && replaced.has(parseProviderReference(resource.provider).urn)) return true;
  if (resource.deletedWith && replaced.has(resource.deletedWith)) return true;
  const inputs = resource.inputs ?? {};
  const changing = Object.keys(inputs).filter((key) =>
    resource.propertyDependencies?.[key]?.some((urn) => replaced.has(urn)),
  );
  if (changing.length === 0) return false;
  const assumed: Props = { ...inputs };
  for (const key of changing) assumed[key] = UNKNOWN;
  const diff = performerOf(resource).diff(resource, assumed, resource.ignoreChanges);
  const changes = applyReplaceOnChanges(diff, resource.replaceOnChanges ?? []);
  return changes.some((change) => change.replace);
}
