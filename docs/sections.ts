/** What the schemas in config/schema say of each key, for all that is made of it. Pure. */
import { z } from "zod";

/** A key with what the schema says of it. */
export interface Field {
  /** Where it is: `nodes[].host.port`. One of several kinds of an object is named by its `kind`: `nodes[].host[ssh].port`. */
  path: string;
  /** What it is for. */
  words: string;
  /** What the program says is allowed when it refuses a value. */
  allowed: string;
  isRequired: boolean;
  /** Undefined where there is none, or the program works it out. */
  default?: unknown;
  examples: readonly unknown[];
  shape: Shape;
}

/** An object of the config: its keys, and after them the objects in it have sections of their own. */
export interface Section {
  /** Empty for the config itself. */
  path: string;
  fields: Field[];
}

/** JSON Schema, with what `key` in config/schema/fields.ts adds. */
export interface Shape extends z.core.JSONSchema.BaseSchema {
  allowed?: string;
  isRequired?: boolean;
  isInput?: true;
  isDefault?: true;
}

/** A schema with, at each key, what is allowed and whether it has to be there. */
export function shapeOf(schema: z.ZodType): Shape {
  return z.toJSONSchema(schema, {
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      Object.assign(jsonSchema, {
        allowed: allowedBy(zodSchema, jsonSchema),
        isRequired:
          jsonSchema.const === undefined
            ? !z.safeParse(zodSchema, undefined).success
            : (jsonSchema as Shape).isDefault !== true,
      });
    },
  });
}

/** The objects of a schema, each with its keys, in their order. Throws if a key says not what it is, or what is allowed. */
export function sectionsOf(schema: z.ZodType, path = ""): Section[] {
  return sections(shapeOf(schema), path);
}

function sections(shape: Shape, path: string): Section[] {
  const kinds = shape.oneOf;
  if (kinds !== undefined) {
    return kinds.flatMap((one) => sections(one, `${path}[${String((one.properties!.kind as Shape).const)}]`));
  }
  if (shape.items !== undefined) {
    return sections(shape.items as Shape, `${path}[]`);
  }
  if (shape.properties === undefined) {
    return [];
  }
  const properties = Object.entries(shape.properties as Record<string, Shape>).map(([key, value]) => ({
    at: path === "" ? key : `${path}.${key}`,
    value,
  }));
  const fields = properties.map(({ at, value }) => fieldOf(at, value));
  return [{ path, fields }, ...properties.flatMap(({ at, value }) => sections(value, at))];
}

function fieldOf(path: string, shape: Shape): Field {
  const { description, allowed, isRequired, examples = [] } = shape;
  if (allowed === undefined) throw new Error(`${path}: the schema does not say what is allowed`);
  if (description === undefined) throw new Error(`${path}: the schema does not say what it is; make it a \`key\``);
  return {
    path,
    words: description,
    allowed,
    isRequired: isRequired === true,
    default: shape.default,
    examples,
    shape,
  };
}

/**
 * The schema's own words: the error that it gives to what no key takes. Of a wrong type, or else a text that nothing is.
 * Keys that take any text, and the `kind` of an object, give zod's error.
 */
function allowedBy(schema: z.core.$ZodType, json: z.core.JSONSchema.BaseSchema): string | undefined {
  const said = [Symbol("none"), "\0"]
    .map((value) => z.safeParse(schema, value).error?.issues[0]?.message)
    .find((message) => message !== undefined && !message.startsWith("Invalid "));
  return said ?? (json.const !== undefined ? String(json.const) : json.type === "string" ? "any text" : undefined);
}
