/** The types of what a user writes, as TypeScript, of what the schema says of each key. Pure. */
import type { Shape } from "./sections";

/** The declarations of all types that have a name, the given one first. */
export function typeDeclarations(name: string, shape: Shape): string {
  const named = new Map<string, string>();
  declare(name, shape, named);
  return [...named].map(([one, body]) => `export interface ${one} ${body}\n`).join("\n");
}

function declare(name: string, shape: Shape, named: Map<string, string>): void {
  // Its place is before those that it needs.
  named.set(name, "");
  named.set(name, bodyOf(shape, named));
}

function bodyOf({ properties = {} }: Shape, named: Map<string, string>): string {
  const lines = Object.entries(properties as Record<string, Shape>).map(([key, value]) => {
    const type = typeOf(value, named);
    const isInput = value.isInput === true;
    return `${comment(value)}\n${key}${value.isRequired ? "" : "?"}: ${isInput ? `Input<${type}>` : type};`;
  });
  return `{\n${lines.join("\n")}\n}`;
}

function comment({ description, default: value, isRequired }: Shape): string {
  const isShown = !isRequired && value !== undefined && value !== "" && JSON.stringify(value) !== "{}";
  const text = isShown ? ` Default: ${typeof value === "string" ? value : JSON.stringify(value)}.` : "";
  return `/** ${description}${text} */`;
}

function typeOf(shape: Shape, named: Map<string, string>): string {
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum !== undefined) return shape.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (shape.oneOf !== undefined) return shape.oneOf.map((one) => typeOf(one, named)).join(" | ");
  if (shape.items !== undefined) return `Array<${typeOf(shape.items as Shape, named)}>`;
  if (shape.properties !== undefined) {
    if (shape.title === undefined) return bodyOf(shape, named);
    if (!named.has(shape.title)) declare(shape.title, shape, named);
    return shape.title;
  }
  if (shape.type === "object") return "Record<string, unknown>";
  if (shape.type === "integer" || shape.type === "number") return "number";
  if (shape.type === "string" || shape.type === "boolean") return shape.type;
  throw new Error(`no type for ${JSON.stringify(shape)}`);
}
