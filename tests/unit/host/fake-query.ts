/** What `kubectl get -o …` makes of objects: enough of JSONPath, custom columns and Go's templates for the scripts. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

type Step = { name: string } | { all: true } | { index: number } | { where: Step[]; equals: string | undefined };

/** The steps of a JSONPath such as `.items[*].status.conditions[?(@.type=="Ready")].status`; `\.` is a dot in a name. */
function stepsOf(path: string): Step[] {
  const steps: Step[] = [];
  let rest = path.replace(/^[$@]/, "");
  while (rest !== "") {
    const name = /^\.((?:\\.|[^.[\]\\])+)/.exec(rest);
    const all = /^\[\*\]/.exec(rest) ?? /^\.\*/.exec(rest);
    const index = /^\[(-?\d+)\]/.exec(rest);
    const quoted = /^\['([^']*)'\]/.exec(rest);
    const where = /^\[\?\(@([^=)]*?)\s*(?:==\s*["']([^"']*)["'])?\)\]/.exec(rest);
    const found = all ?? name ?? index ?? quoted ?? where;
    if (found === null) throw new Error(`JSONPath ${path}: ${rest}`);
    if (found === all) steps.push({ all: true });
    else if (found === name) steps.push({ name: name[1]!.replace(/\\(.)/g, "$1") });
    else if (found === index) steps.push({ index: Number(index[1]) });
    else if (found === quoted) steps.push({ name: quoted[1]!.replace(/\\(.)/g, "$1") });
    else steps.push({ where: stepsOf(where![1]!), equals: where![2] });
    rest = rest.slice(found[0].length);
  }
  return steps;
}

function follow(values: Json[], steps: readonly Step[]): Json[] {
  return steps.reduce<Json[]>(
    (found, step) =>
      found.flatMap((value): Json[] => {
        if (value === null || typeof value !== "object") return [];
        if ("all" in step) return Array.isArray(value) ? value : Object.values(value);
        if (Array.isArray(value)) {
          if ("where" in step) {
            return value.filter((item) =>
              follow([item], step.where).some((v) => step.equals === undefined || v === step.equals),
            );
          }
          return "index" in step ? value.slice(step.index).slice(0, 1) : [];
        }
        return "name" in step && value[step.name] !== undefined ? [value[step.name]!] : [];
      }),
    values,
  );
}

export const query = (value: Json, path: string): Json[] => follow([value], stepsOf(path));

const shown = (value: Json): string =>
  value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);

/** The pieces of a template: text, and what stands between braces. */
function pieces(template: string): { text?: string; action?: string }[] {
  const found: { text?: string; action?: string }[] = [];
  let at = 0;
  while (at < template.length) {
    if (template[at] !== "{") {
      const end = template.indexOf("{", at);
      found.push({ text: template.slice(at, end === -1 ? undefined : end) });
      at = end === -1 ? template.length : end;
      continue;
    }
    const end = template.indexOf("}", at);
    found.push({ action: template.slice(at + 1, end).trim() });
    at = end + 1;
  }
  return found;
}

export function jsonPath(template: string, root: Json): string {
  const parts = pieces(template);
  const run = (from: number, to: number, here: Json): string => {
    let text = "";
    for (let i = from; i < to; i++) {
      const { text: literal, action = "" } = parts[i]!;
      if (literal !== undefined) {
        text += literal;
      } else if (action.startsWith("range")) {
        let depth = 1;
        let end = i + 1;
        for (; depth > 0; end++) {
          if (parts[end]?.action?.startsWith("range")) depth++;
          if (parts[end]?.action === "end") depth--;
        }
        for (const item of query(here, action.slice(5).trim())) text += run(i + 1, end - 1, item);
        i = end - 1;
      } else if (action.startsWith('"')) {
        text += JSON.parse(action) as string;
      } else {
        text += query(here, action).map(shown).join(" ");
      }
    }
    return text;
  };
  return run(0, parts.length, root);
}

export function customColumns(spec: string, items: readonly Json[], header: boolean): string {
  const columns = spec.split(/,(?=[A-Z])/).map((column) => {
    const colon = column.indexOf(":");
    return { head: column.slice(0, colon), path: column.slice(colon + 1) };
  });
  const rows = items.map((item) => columns.map(({ path }) => query(item, path).map(shown).join(",") || "<none>"));
  return [...(header ? [columns.map(({ head }) => head)] : []), ...rows].map((row) => `${row.join("   ")}\n`).join("");
}
