/** What differs between two sets of properties, path by path. */
import { Path } from "./paths";
import { equal, isPlainObject, Props, Value } from "./values";

export interface Change {
  path: Path;
  kind: "add" | "update" | "delete";
  old: Value | undefined;
  new: Value | undefined;
  /** The change can only be made by a new resource. */
  replace: boolean;
}

/** @param replaces whether a change at this path needs a new resource */
export function diffProps(olds: Props, news: Props, replaces: (path: Path) => boolean = () => false): Change[] {
  const changes: Change[] = [];
  collect(olds, news, [], changes);
  return changes.map((change) => ({ ...change, replace: replaces(change.path) }));
}

function collect(old: Value | undefined, now: Value | undefined, path: Path, changes: Change[]): void {
  const wasThere = old !== undefined && old !== null;
  const isThere = now !== undefined && now !== null;
  if (!wasThere && !isThere) return;
  if (!wasThere || !isThere) {
    changes.push({ path, kind: isThere ? "add" : "delete", old, new: now, replace: false });
  } else if (Array.isArray(old) && Array.isArray(now)) {
    // Longer or shorter counts as elements added or removed, even null ones.
    for (let i = 0; i < Math.max(old.length, now.length); i++) {
      if (i >= old.length) changes.push(element("add", path, i, now[i]));
      else if (i >= now.length) changes.push(element("delete", path, i, old[i]));
      else collect(old[i], now[i], [...path, i], changes);
    }
  } else if (isPlainObject(old) && isPlainObject(now)) {
    for (const key of [...new Set([...Object.keys(old), ...Object.keys(now)])].sort()) {
      collect(old[key], now[key], [...path, key], changes);
    }
  } else if (!equal(old, now)) {
    changes.push({ path, kind: "update", old, new: now, replace: false });
  }
}

function element(kind: "add" | "delete", path: Path, index: number, value: Value | undefined): Change {
  const [old, now] = kind === "add" ? [undefined, value] : [value, undefined];
  return { path: [...path, index], kind, old, new: now, replace: false };
}
