/** The config reference as Markdown: what the schema says of each key, and one source of words for what it is. Pure. */
import { z } from "zod";

/** A key with what the schema says of it. */
export interface Field {
  /** Where it is: `nodes[].host.port`. One of several kinds of an object is named by its `kind`: `nodes[].host[ssh].port`. */
  path: string;
  /** What the program says is allowed when it refuses a value. */
  allowed: string;
  isRequired: boolean;
  /** Undefined where there is none, or the program works it out. */
  default?: unknown;
}

/** An object of the config: its keys, and after them the objects in it have sections of their own. */
export interface Section {
  /** Empty for the config itself. */
  path: string;
  fields: Field[];
}

interface Annotated extends z.core.JSONSchema.BaseSchema {
  allowed?: string;
  isRequired?: boolean;
}

/** The objects of a schema, each with its keys, in their order. Throws if a key says nothing of what is allowed. */
export function sectionsOf(schema: z.ZodType, path = ""): Section[] {
  const json = z.toJSONSchema(schema, {
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      Object.assign(jsonSchema, {
        allowed: allowedBy(zodSchema, jsonSchema),
        // Of several kinds of an object one may be meant where none is named: the words of the key say so.
        isRequired: jsonSchema.const === undefined && !z.safeParse(zodSchema, undefined).success,
      });
    },
  });
  return sections(json, path);
}

function sections(json: Annotated, path: string): Section[] {
  const kinds = json.oneOf;
  if (kinds !== undefined) {
    return kinds.flatMap((one) => sections(one, `${path}[${String((one.properties!.kind as Annotated).const)}]`));
  }
  if (json.items !== undefined) {
    return sections(json.items as Annotated, `${path}[]`);
  }
  if (json.properties === undefined) {
    return [];
  }
  const properties = Object.entries(json.properties as Record<string, Annotated>).map(([key, value]) => ({
    at: path === "" ? key : `${path}.${key}`,
    value,
  }));
  const fields = properties.map(({ at, value }): Field => {
    if (value.allowed === undefined) {
      throw new Error(`${at}: the schema does not say what is allowed`);
    }
    return { path: at, allowed: value.allowed, isRequired: value.isRequired === true, default: value.default };
  });
  return [{ path, fields }, ...properties.flatMap(({ at, value }) => sections(value, at))];
}

/**
 * The schema's own words: the error that it gives to what no key takes. Of a wrong type, or else a text that nothing is.
 * Keys that take any text, and the `kind` of an object, give zod's error instead of one of ours.
 */
function allowedBy(schema: z.core.$ZodType, json: z.core.JSONSchema.BaseSchema): string | undefined {
  const said = [Symbol("none"), "\0"]
    .map((value) => z.safeParse(schema, value).error?.issues[0]?.message)
    .find((message) => message !== undefined && !message.startsWith("Invalid "));
  return said ?? (json.const !== undefined ? String(json.const) : json.type === "string" ? "any text" : undefined);
}

/**
 * The tables of some sections, each under a heading but the first.
 *
 * @param words what each key is, by its path. Throws on a key without any.
 */
export function referenceTables(all: readonly Section[], words: ReadonlyMap<string, string>): string {
  const known = new Set(all.map(({ path }) => path));
  return all
    .map(({ path, fields }) => {
      const heading = path === "" ? [] : [`## \`${path}\``, ""];
      const rows = fields.map((field) => {
        const text = words.get(field.path);
        if (text === undefined) {
          throw new Error(`${field.path}: nothing says what it is; describe it in Pulumi.yaml or docs/fields.yaml`);
        }
        return row([keyCell(field.path, path, known), defaultCell(field), field.allowed, text]);
      });
      return [...heading, row(["Key", "Default", "Allowed", "What it is"]), "| --- | --- | --- | --- |", ...rows, ""];
    })
    .flat()
    .join("\n");
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

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
