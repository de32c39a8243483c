/** Property paths as resource options write them: `triggers[*]`, `spec.replicas`, `metadata.labels["a.b"]`. */
import { isPlainObject, Props, Value } from "./values";

export type Path = (string | number)[];

/** `*` in a pattern matches any one member or index. */
export function parsePath(text: string): Path {
  const path: Path = [];
  const token = /^(?:\.?([^.[\]"]+)|\[(\d+)\]|\[(\*)\]|\["((?:[^"\\]|\\.)*)"\])/;
  let rest = text;
  while (rest) {
    const match = token.exec(rest);
    if (!match) throw new Error(`"${text}" is no property path (at "${rest}")`);
    if (match[2] !== undefined) path.push(Number(match[2]));
    else path.push(match[1] ?? match[3] ?? JSON.parse(`"${match[4]}"`));
    rest = rest.slice(match[0].length);
  }
  return path;
}

export function formatPath(path: Path): string {
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${part}]`;
      if (/[.[\]"]/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join("");
}

/** Whether the pattern names the path itself or something that holds it. */
export function covers(pattern: Path, path: Path): boolean {
  return pattern.length <= path.length && pattern.every((part, i) => part === "*" || part === path[i]);
}

/**
 * The new properties with everything that the patterns name taken from the old ones (absent there: removed), as
 * `ignoreChanges` wants it.
 */
export function keepOld(news: Props, olds: Props, patterns: Path[]): Props {
  return patterns.reduce((props, pattern) => keep(props, olds, pattern) as Props, news);
}

function keep(news: Value | undefined, olds: Value | undefined, pattern: Path): Value | undefined {
  const [head, ...rest] = pattern;
  if (head === undefined) return olds;
  if (Array.isArray(news) && Array.isArray(olds)) {
    return news.map((item, i) => (head === "*" || head === i ? (keep(item, olds[i], rest) ?? null) : item));
  }
  // A pattern that reaches into a secret or a scalar has nothing to keep there.
  if (!isPlainObject(news) || !isPlainObject(olds)) return news;
  const result: Props = { ...news };
  const keys = head === "*" ? [...new Set([...Object.keys(news), ...Object.keys(olds)])] : [String(head)];
  for (const key of keys) {
    const kept = keep(news[key], olds[key], rest);
    if (kept === undefined) delete result[key];
    else result[key] = kept;
  }
  return result;
}
