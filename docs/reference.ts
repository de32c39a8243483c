/** The config reference as Markdown, of what the schemas say of each key. Pure. */
import { stringify } from "yaml";
import type { Field, Section } from "./sections";

/** The tables of some sections, each under a heading but the first, with the examples of the keys that have some. */
export function referenceTables(all: readonly Section[]): string {
  const known = new Set(all.map(({ path }) => path));
  const examples = new Map(all.flatMap(({ fields }) => fields.map((field) => [field.path, field.examples])));
  return all
    .map(({ path, fields }) => {
      const heading = path === "" ? [] : [`## \`${path}\``, ""];
      const rows = fields.map((field) =>
        row([keyCell(field.path, path, known), defaultCell(field), field.allowed, field.words]),
      );
      const table = [row(["Key", "Default", "Allowed", "What it is"]), "| --- | --- | --- | --- |", ...rows, ""];
      return [...heading, ...table, ...exampleBlocks(path.replace("[]", ""), examples)];
    })
    .flat()
    .join("\n");
}

function exampleBlocks(key: string, examples: ReadonlyMap<string, readonly unknown[]>): string[] {
  return (examples.get(key) ?? []).flatMap((example) => {
    const text = stringify({ [`tailkube:${key}`]: example }, { collectionStyle: "any", lineWidth: 110 });
    return ["```yaml", text.trimEnd(), "```", ""];
  });
}

function keyCell(path: string, section: string, known: ReadonlySet<string>): string {
  const key = `\`${section === "" ? path : path.slice(section.length + 1)}\``;
  const target = [path, `${path}[]`].find((one) => known.has(one));
  if (target !== undefined) {
    return `[${key}](#${slug(target)})`;
  }
  const kinds = [...known].flatMap((one) => {
    const kind = one.startsWith(`${path}[`) ? /^\[(\w+)\]$/.exec(one.slice(path.length))?.[1] : undefined;
    return kind === undefined ? [] : [`[${kind}](#${slug(one)})`];
  });
  return kinds.length === 0 ? key : `${key}: ${kinds.join(", ")}`;
}

/** GitHub's name of a heading's anchor. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}

function defaultCell({ isRequired, default: value }: Field): string {
  if (isRequired) {
    return "required";
  }
  return value === undefined || value === "" ? "" : `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

/** The keys that have been renamed, each with its path today. */
export function renamedTable(renamed: Readonly<Record<string, string>>): string {
  return [
    row(["Old key", "Key"]),
    "| --- | --- |",
    ...Object.entries(renamed).map(([was, now]) => row([`\`${was}\``, `\`${now}\``])),
    "",
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
