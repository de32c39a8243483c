/** In which order resources are deleted. Pure. */
import { dependenciesOf, ResourceState } from "./state/deployment";

/**
 * As Pulumi's engine does it, level by level: those of a level are deleted at once, those of the next only when all of
 * the level are gone. A level holds what is equally far from those that depend on nothing, so a resource may wait for
 * others that it has nothing to do with.
 * @param doomed what is to be deleted
 * @param all the resources of the last run, the doomed among them, dependencies first
 */
export function deletionLevels(doomed: readonly ResourceState[], all: readonly ResourceState[]): ResourceState[][] {
  const levels: ResourceState[][] = [];
  const waitsFor = dependenciesAmong(doomed, all);
  let rest = [...doomed];
  while (rest.length > 0) {
    const left = new Set(rest);
    const level = rest.filter((resource) => !waitsFor.get(resource)!.some((dependency) => left.has(dependency)));
    levels.unshift(level);
    rest = rest.filter((resource) => !level.includes(resource));
  }
  return levels;
}

/** For each doomed resource the doomed ones that it depends on. */
function dependenciesAmong(
  doomed: readonly ResourceState[],
  all: readonly ResourceState[],
): Map<ResourceState, ResourceState[]> {
  const ancestors = ancestorsOf(all);
  const components = new Set(all.filter(({ custom }) => !custom).map(({ urn }) => urn));
  const place = new Map(all.map((resource, index) => [resource, index]));
  return new Map(
    doomed.map((resource) => {
      const needed = new Set(dependenciesOf(resource));
      // Who depends on a component depends on what it is made of, but a component's child not on its siblings.
      const owners = [...needed].filter((urn) => components.has(urn) && urn !== resource.parent);
      const isNeeded = ({ urn }: ResourceState): boolean =>
        needed.has(urn) || owners.some((owner) => ancestors.get(urn)?.has(owner));
      // Of two resources of one URN, one replaced by the other, it is the place that tells whose dependency it is.
      const isBefore = (other: ResourceState): boolean => place.get(other)! < place.get(resource)!;
      return [resource, doomed.filter((other) => isBefore(other) && isNeeded(other))];
    }),
  );
}

/** The URNs of each resource's parent, the parent's parent and so on. */
function ancestorsOf(resources: readonly ResourceState[]): Map<string, Set<string>> {
  const result = new Map<string, Set<string>>();
  for (const { urn, parent } of resources) {
    if (parent) result.set(urn, new Set([parent, ...(result.get(parent) ?? [])]));
  }
  return result;
}
