/** Keys with an old name, secrets inside a group, and keys that were set without `--path`. */
import { isValues } from "../model/merge";
import { renamedKeys } from "../model/renamed-keys";
import { type Key, nearest, type Path, pathOf, type Problem } from "../model/problem";
import { misplacedSecrets } from "./schema/secrets";
import { structuredKeys } from "./schema/stack";

interface Moved {
  was: string;
  /** Where its value belongs. Problems that depend on this key are dropped. */
  now: Path;
  problem: Problem;
}

/**
 * The keys that have moved, each with its problem, which quotes no value. Removes them from `raw`.
 *
 * @param keys those that the source has.
 * @param raw what the known ones hold.
 * @param isText structured keys that hold a text; those that have moved are removed.
 */
export function movedKeys(keys: readonly string[], raw: Record<string, unknown>, isText: Set<string>): Moved[] {
  return [...renamed(keys, raw, isText), ...misplaced(raw), ...dotted(keys)];
}

function renamed(keys: readonly string[], raw: Record<string, unknown>, isText: Set<string>): Moved[] {
  return Object.entries(renamedKeys).flatMap(([was, now]) => {
    if (structuredKeys.has(was)) {
      const isOld = isText.has(was) || (raw[was] !== undefined && !isValues(raw[was]));
      if (!isOld) return [];
      isText.delete(was);
      raw[was] = undefined;
    } else if (!keys.includes(was)) {
      return [];
    }
    const problem = { path: [was], wrong: `this key is now ${now}`, fix: "Move its value there." };
    return [{ was, now: pathOf(now), problem }];
  });
}

function misplaced(raw: Record<string, unknown>): Moved[] {
  return [...misplacedSecrets].flatMap(([was, now]) => {
    const [groupName, name] = was.split(".") as [string, string];
    const group = raw[groupName];
    if (!isValues(group) || !(name in group)) return [];
    raw[groupName] = Object.fromEntries(Object.entries(group).filter(([key]) => key !== name));
    return [secretOfItsOwn(was, was, now)];
  });
}

function secretOfItsOwn(was: string, path: Key, now: string): Moved {
  const wrong = "a secret cannot be in a group";
  const fix = `Set it as ${now} (pulumi config set --secret ${now}), and remove it here.`;
  return { was, now: [now], problem: { path, wrong, fix } };
}

/** `pulumi config set tailnet.mtu 1400` creates a key with a dot in its name. */
function dotted(keys: readonly string[]): Moved[] {
  return keys.flatMap((was) => {
    const now = pathOf(was);
    if (now.length < 2 || !structuredKeys.has(String(now[0]))) return [];
    const secret = misplacedSecrets.get(was);
    if (secret !== undefined) return [secretOfItsOwn(was, [was], secret)];
    const problem = {
      path: [was],
      wrong: `it was set without --path, so it is not the key in ${String(now[0])}`,
      fix: `Remove it (pulumi config rm ${was}), and set it with --path: pulumi config set --path ${was} VALUE.`,
    };
    return [{ was, now, problem }];
  });
}

/** The key that a mistyped one probably means; of a key's old name, its path today. */
export function nearestKey(name: string, known: readonly string[]): string | undefined {
  const near = nearest(name, [...known, ...Object.keys(renamedKeys)]);
  return near === undefined || known.includes(near) ? near : renamedKeys[near];
}
