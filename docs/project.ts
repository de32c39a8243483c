/** The `config` block of Pulumi.yaml, of what the schema says of each key. Pure. */
import { stringify } from "yaml";
import { isSecretKey } from "../config/schema/secrets";
import type { Field, Section, Shape } from "./sections";

/** The text of the block. A key with a default may be left out of a stack: the CLI asks for no other. */
export function projectConfig([{ fields }]: readonly [Section, ...Section[]]): string {
  return ["config:", ...fields.flatMap((field) => [`  ${field.path}:`, ...declaration(field)]), ""].join("\n");
}

function declaration(field: Field): string[] {
  const { path, words, shape } = field;
  // The CLI refuses a default of a typed secret, and knows no type of an object whose keys differ.
  const isSecret = isSecretKey(path);
  const isStructure = shape.items !== undefined || shape.properties !== undefined;
  return [
    ...(isSecret || isStructure ? [] : [`    type: ${String(shape.type)}`]),
    ...description(words + keysOf(shape)),
    ...(isSecret ? ["    secret: true"] : []),
    ...(field.isRequired ? [] : [`    default: ${isStructure ? "{}" : inLine(field.default ?? "")}`]),
  ];
}

/** The keys that a user may write below this one. */
function keysOf(shape: Shape): string {
  const list = (of: Shape) => Object.keys(of.properties ?? {}).join(", ");
  if (shape.items !== undefined) return ` A list of objects: ${list(shape.items as Shape)}.`;
  return shape.properties === undefined ? "" : ` An object: ${list(shape)}.`;
}

function description(text: string): string[] {
  const line = `    description: ${inLine(text)}`;
  return line.length <= 120 ? [line] : ["    description: >-", ...wrapped(text).map((part) => `      ${part}`)];
}

const inLine = (value: unknown) => stringify(value, { lineWidth: 0 }).trimEnd();

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = `${lines.at(-1) ?? ""} ${word}`;
    if (lines.length === 0 || line.length > 112) lines.push(word);
    else lines[lines.length - 1] = line;
  }
  return lines;
}
