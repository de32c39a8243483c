/** What a cluster looks like, in lines, so that two of them can be compared. */
import { difference as changes } from "../tests/lab/leftovers";

/** The leaves of a document as `path=value`; one of a list of `{ name, value }`, as kubeadm's arguments are, by its name. */
export function leaves(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [`${path}=${String(value)}`];
  const below = (key: string) => (path === "" ? key : `${path}.${key}`);
  return Object.entries(value as Record<string, unknown>).flatMap(([key, entry]) => {
    const { name, value: named } = (entry ?? {}) as { name?: unknown; value?: unknown };
    return typeof name === "string" && named !== undefined ? leaves(named, below(name)) : leaves(entry, below(key));
  });
}

/** What one way's cluster has and the other's has not, if anything. */
export function difference(ours: string, theirs: string): string | undefined {
  // Without the signs of a diff.
  const only = changes(ours, theirs).map((line) => line.slice(2));
  return only.length === 0 ? undefined : `the two clusters differ: ${only.join("; ")}`;
}
