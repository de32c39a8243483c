/** `ignoreChanges`: inputs keep the values that they had. */
import { parsePath, Path } from "./paths";
import { isPlainObject, isSecret, Props, secret, Value } from "./values";

/**
 * The new inputs with everything that the paths name as it was before, be it absent.
 * @returns also the paths that lead into something that only the old or only the new inputs have
 */
export function ignoreChanges(
  news: Props,
  olds: Props,
  paths: readonly string[],
): { inputs: Props; unfollowed: string[] } {
  let inputs: Value = news;
  const unfollowed: string[] = [];
  for (const path of paths) {
    const kept = keep(inputs, olds, parsePath(path), { old: false, now: false });
    inputs = kept.value;
    if (!kept.followed) unfollowed.push(path);
  }
  return { inputs: inputs as Props, unfollowed };
}

/** Whether the old value, and the present one, is within a secret. */
interface Secrecy {
  old: boolean;
  now: boolean;
}

interface Kept {
  value: Value;
  followed: boolean;
}

function keep(now: Value, old: Value | undefined, path: Path, within: Secrecy): Kept {
  if (isSecret(now)) {
    const { value, followed } = keep(now.value, old, path, { ...within, now: true });
    return { value: { ...now, value }, followed };
  }
  if (isSecret(old)) return keep(now, old.value, path, { ...within, old: true });
  const [head, ...rest] = path;
  if (head === "*") return rest.length === 0 ? keepAll(now, old, within) : keepInAll(now, old, rest, within);
  if (typeof head === "number") return keepElement(now, old, head, rest, within);
  return keepMember(now, old, head!, rest, within);
}

function keepMember(now: Value, old: Value | undefined, key: string, rest: Path, within: Secrecy): Kept {
  if (rest.length === 0) {
    const isThere = isPlainObject(old) && key in old;
    if (!isPlainObject(now)) return { value: now, followed: !isThere };
    const value = { ...now };
    if (isThere) value[key] = kept(old[key]!, within);
    else delete value[key];
    return { value, followed: true };
  }
  if (!isPlainObject(now) || !isPlainObject(old)) {
    return { value: now, followed: !isPlainObject(now) && !isPlainObject(old) };
  }
  if (!(key in now)) return { value: now, followed: !(key in old) };
  const { value, followed } = keep(now[key]!, old[key], rest, within);
  return { value: { ...now, [key]: value }, followed };
}

function keepElement(now: Value, old: Value | undefined, index: number, rest: Path, within: Secrecy): Kept {
  if (!Array.isArray(now) || !Array.isArray(old)) {
    return { value: now, followed: !Array.isArray(now) && !Array.isArray(old) };
  }
  if (index >= now.length || index >= old.length) {
    return { value: now, followed: rest.length === 0 && index >= now.length && index >= old.length };
  }
  const before = old[index]!;
  const element = rest.length === 0 ? { value: kept(before, within), followed: true } : undefined;
  const { value, followed } = element ?? keep(now[index]!, before, rest, within);
  return { value: now.with(index, value), followed };
}

/** All members or elements are as they were. */
function keepAll(now: Value, old: Value | undefined, within: Secrecy): Kept {
  if (isPlainObject(now)) {
    if (!isPlainObject(old)) return { value: now, followed: true };
    const members = Object.entries(old).map(([key, value]) => [key, kept(value, within)] as const);
    return { value: Object.fromEntries(members), followed: true };
  }
  if (!Array.isArray(now)) return { value: now, followed: false };
  if (!Array.isArray(old)) return { value: now, followed: true };
  const value = now.map((item, index) => (index < old.length ? kept(old[index]!, within) : item));
  return { value, followed: old.length === now.length };
}

/** Something in all members or elements is as it was. */
function keepInAll(now: Value, old: Value | undefined, rest: Path, within: Secrecy): Kept {
  if (isPlainObject(now) && isPlainObject(old)) {
    const result = { ...now };
    for (const [key, before] of Object.entries(old)) {
      if (!(key in now)) return { value: result, followed: false };
      const { value, followed } = keep(now[key]!, before, rest, within);
      result[key] = value;
      if (!followed) return { value: result, followed };
    }
    return { value: result, followed: true };
  }
  if (!Array.isArray(now) || !Array.isArray(old)) return { value: now, followed: false };
  const result = [...now];
  for (let index = 0; index < Math.min(now.length, old.length); index++) {
    const { value, followed } = keep(now[index]!, old[index], rest, within);
    result[index] = value;
    if (!followed) return { value: result, followed };
  }
  return { value: result, followed: now.length === old.length };
}

/** The old value; what was within a secret stays secret where the new one is not. */
function kept(old: Value, within: Secrecy): Value {
  return within.old && !within.now ? secret(old) : old;
}
