/** Deletes resources, dependents first, in parallel where dependencies allow. */
import { Terminated } from "./executor";
import { dependenciesOf, ResourceState } from "./state/deployment";

/**
 * @param doomed what to delete
 * @param deleteOne deletes one; a failure stops what is not yet begun, the rest runs to its end
 * @returns whether all were deleted
 */
export async function deleteAll(
  doomed: ResourceState[],
  deleteOne: (resource: ResourceState) => Promise<void>,
): Promise<boolean> {
  const waitsFor = dependentsAmong(doomed);
  const deletions = new Map<ResourceState, Promise<boolean>>();
  const start = (resource: ResourceState): Promise<boolean> => {
    let deletion = deletions.get(resource);
    if (!deletion) {
      deletion = run(resource);
      deletions.set(resource, deletion);
    }
    return deletion;
  };
  const run = async (resource: ResourceState): Promise<boolean> => {
    const gone = await Promise.all(waitsFor.get(resource)!.map(start));
    if (gone.includes(false)) return false;
    try {
      await deleteOne(resource);
      return true;
    } catch (error) {
      if (error instanceof Terminated) return false;
      throw error;
    }
  };
  return !(await Promise.all(doomed.map(start))).includes(false);
}

/**
 * For each resource those that depend on it. Two resources of one URN (one replaced by the other) are told apart by
 * their place: the later in the state is the older, and what depends on the URN may depend on either.
 */
function dependentsAmong(resources: ResourceState[]): Map<ResourceState, ResourceState[]> {
  const result = new Map<ResourceState, ResourceState[]>(resources.map((resource) => [resource, []]));
  const byUrn = new Map<string, ResourceState[]>();
  for (const resource of resources) byUrn.set(resource.urn, [...(byUrn.get(resource.urn) ?? []), resource]);
  for (const resource of resources) {
    for (const urn of dependenciesOf(resource)) {
      for (const dependency of byUrn.get(urn) ?? []) {
        if (dependency !== resource) result.get(dependency)!.push(resource);
      }
    }
  }
  return result;
}
