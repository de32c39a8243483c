/** Former URNs of a resource. */
import type { AliasSpec, Goal } from "./goal";
import { makeUrn, urnName } from "./urn";

/**
 * @param formerParents the URNs that the resource's parent had
 * @returns the URNs that the resource may have had, without its present one
 */
export function formerUrns(stack: string, project: string, goal: Goal, formerParents: string[]): string[] {
  const present = makeUrn(stack, project, goal.parent, goal.type, goal.name);
  const urns = new Set<string>();
  for (const alias of goal.aliases) {
    for (const parent of [goal.parent, ...formerParents]) urns.add(resolve(stack, project, goal, alias, parent));
  }
  for (const parent of formerParents) {
    urns.add(makeUrn(stack, project, parent, goal.type, inherit(goal, parent)));
  }
  urns.delete(present);
  return [...urns];
}

function resolve(stack: string, project: string, goal: Goal, alias: AliasSpec, parent: string): string {
  if (alias.urn) return alias.urn;
  const parentUrn = alias.noParent ? "" : (alias.parent ?? parent);
  const name = alias.name ?? (alias.parent || alias.noParent ? goal.name : inherit(goal, parentUrn));
  return makeUrn(alias.stack ?? stack, alias.project ?? project, parentUrn, alias.type ?? goal.type, name);
}

/** A child that is named after its parent was named after its parent's former name. */
function inherit(goal: Goal, formerParent: string): string {
  if (!goal.parent || !formerParent || formerParent === goal.parent) return goal.name;
  const [now, former] = [urnName(goal.parent), urnName(formerParent)];
  return goal.name.startsWith(now) ? former + goal.name.slice(now.length) : goal.name;
}
