/** Property paths as resource options write them: `triggers[*]`, `spec.replicas`, `metadata.labels["a.b"]`. */
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
