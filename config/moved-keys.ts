/** Keys under an old name, secrets inside a group, and keys that were set without `--path`. */
import { isValues } from "../model/merge";
import { renamedKeys } from "../model/renamed-keys";
import { type Key, nearest, type Path, pathOf, type Problem } from "../model/problem";
import { misplacedSecrets } from "./schema/secrets";
import { structuredKeys } from "./schema/stack";

interface Moved {
  /** As the source has it. */
  was: string;
  /** Where its value belongs: of what is there nothing is known. */
  now: Path;
  problem: Problem;
}

/**
 * The keys that have another place, each with its problem, which quotes no value. What is found in `raw` is taken out of it.
 *
 * @param keys those that the source has.
 * @param raw what the known ones hold.
 * @param isText structured keys that hold a text; those found are taken out.
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
  const wrong = "a secret is a key of its own, beside the groups";
  const fix = `Set it as ${now} (pulumi config set --secret ${now}), and remove it here.`;
  return { was, now: [now], problem: { path, wrong, fix } };
}

/** `pulumi config set tailnet.mtu 1400` makes a key with a dot in its name. */
function dotted(keys: readonly string[]): Moved[] {
  return keys.flatMap((was) => {
    const now = pathOf(was);
    if (now.length < 2 || !structuredKeys.has(String(now[0]))) return [];
    const secret = misplacedSecrets.get(was);
    if (secret !== undefined) return [secretOfItsOwn(was, [was], secret)];
    const problem = {
      path: [was],
      wrong: `it is a key with this whole name, not one in ${String(now[0])}`,
      fix: `Remove it (pulumi config rm ${was}), and set it with --path: pulumi config set --path ${was} VALUE.`,
    };
    return [{ was, now, problem }];
  });
}

/** The key that a mistyped one may be meant for, which may have been of another place. */
export function nearestKey(name: string, known: readonly string[]): string | undefined {
  const near = nearest(name, [...known, ...Object.keys(renamedKeys)]);
  return near === undefined || known.includes(near) ? near : renamedKeys[near];
}
