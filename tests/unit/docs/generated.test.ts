import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import type { ClusterArgs } from "../../../config/args";
import { key } from "../../../config/schema/fields";
import { stackSchema, type StackValues } from "../../../config/schema/stack";
import { allSections, generated } from "../../../docs/generate";
import { projectConfig } from "../../../docs/project";
import { referenceTables } from "../../../docs/reference";
import { type Field, sectionsOf, shapeOf } from "../../../docs/sections";
import { typeDeclarations } from "../../../docs/types";

const root = join(__dirname, "../../..");
const fields = (): Field[] => allSections().flatMap((section) => section.fields);

describe("what is generated", () => {
  for (const { path, text } of generated) {
    it(`${path} is what its sources make of it: npm run generate writes it anew`, async () => {
      expect(readFileSync(join(root, path), "utf8")).to.equal(await text());
    });
  }

  it("has every key of the schema", () => {
    expect(fields().map(({ path }) => path)).to.include.members([
      ...Object.keys(stackSchema.shape),
      "nodes[].taints[].effect",
      "tailnet.mtu",
      "security.podPidsLimit",
      "hostProfile.containerd.restrictOomScoreAdj",
    ]);
  });

  it("has examples that the schema takes, in each of the stack's objects", () => {
    for (const [name, schema] of Object.entries(stackSchema.shape)) {
      const { examples, shape } = fields().find(({ path }) => path === name)!;
      expect(examples.length > 0, name).to.equal(shape.properties !== undefined || shape.items !== undefined);
      for (const example of examples) expect(schema.safeParse(example).error, name).to.equal(undefined);
    }
  });

  it("has types that are as wide as what the schema gives, and no other keys", () => {
    // For the compiler: each of the two fails where a key of the one is not in the other, or of another type.
    const written = (values: StackValues): ClusterArgs => values;
    type Keys<T> = { [K in keyof T]-?: keyof NonNullable<T[K]> };
    type Groups =
      "tailnet" | "lan" | "endpoint" | "network" | "kubernetes" | "cilium" | "ssh" | "security" | "mirrors" | "ec2";
    const same = (keys: Pick<Keys<StackValues>, Groups>): Pick<Keys<ClusterArgs>, Groups> => keys;
    const back = (keys: Pick<Keys<ClusterArgs>, Groups>): Pick<Keys<StackValues>, Groups> => keys;
    const top = (name: keyof ClusterArgs): keyof StackValues => name;
    expect([written, same, back, top].every((one) => typeof one === "function")).to.equal(true);
  });
});

const words = <T extends z.ZodType>(schema: T) => key(schema, "It is.");

describe("sectionsOf", () => {
  const example = z.object({
    size: key(z.enum(["small", "large"], { error: "small or large" }).default("small"), "How large it is.", {
      examples: ["large"],
    }),
    list: words(
      z.array(
        z.strictObject(
          { name: words(z.string({ error: "a name" })), note: words(z.string().optional()) },
          { error: "an object" },
        ),
        { error: "a list" },
      ),
    ),
  });

  it("has a section for each object, with what the schema says of its keys", () => {
    const told = sectionsOf(example).map(({ path, fields: of }) => ({
      path,
      fields: of.map(({ shape: _, ...field }) => field),
    }));
    expect(told).to.deep.equal([
      {
        path: "",
        fields: [
          {
            path: "size",
            words: "How large it is.",
            allowed: "small or large",
            isRequired: false,
            default: "small",
            examples: ["large"],
          },
          { path: "list", words: "It is.", allowed: "a list", isRequired: true, default: undefined, examples: [] },
        ],
      },
      {
        path: "list[]",
        fields: [
          {
            path: "list[].name",
            words: "It is.",
            allowed: "a name",
            isRequired: true,
            default: undefined,
            examples: [],
          },
          {
            path: "list[].note",
            words: "It is.",
            allowed: "any text",
            isRequired: false,
            default: undefined,
            examples: [],
          },
        ],
      },
    ]);
  });

  const kinds = z.object({
    host: words(
      z.preprocess(
        (value) => value,
        z.discriminatedUnion(
          "kind",
          [
            z
              .strictObject({
                kind: key(z.literal("a"), "It is.", { isDefault: true }),
                at: key(z.string({ error: "a place" }), "It is.", { isInput: true }),
              })
              .meta({ title: "A" }),
            z.strictObject({ kind: words(z.literal("b")) }).meta({ title: "B" }),
          ],
          { error: "a or b" },
        ),
      ),
    ),
  });

  it("tells kinds of an object apart", () => {
    expect(
      sectionsOf(kinds).map(({ path, fields: of }) => [path, of.map((field) => `${field.path}: ${field.allowed}`)]),
    ).to.deep.equal([
      ["", ["host: a or b"]],
      ["host[a]", ["host[a].kind: a", "host[a].at: a place"]],
      ["host[b]", ["host[b].kind: b"]],
    ]);
    const tables = referenceTables(sectionsOf(kinds));
    expect(tables).to.include("| `host`: [a](#hosta), [b](#hostb) | required |");
    expect(tables).to.include("| `kind` |  | a |").and.to.include("| `kind` | required | b |");
  });

  it("makes types of them, in which what is known late is an Input", () => {
    expect(typeDeclarations("All", shapeOf(kinds)).replace(/\s+/g, " ")).to.equal(
      "export interface All { /** It is. */ host: A | B; } " +
        'export interface A { /** It is. */ kind?: "a"; /** It is. */ at: Input<string>; } ' +
        'export interface B { /** It is. */ kind: "b"; } ',
    );
  });

  it("insists that a schema says what is allowed, and what each key is", () => {
    expect(() => sectionsOf(z.object({ count: words(z.number()) }))).to.throw(
      "count: the schema does not say what is allowed",
    );
    expect(() => sectionsOf(z.object({ count: z.number({ error: "a number" }) }))).to.throw(
      "count: the schema does not say what it is",
    );
  });
});

describe("referenceTables", () => {
  it("has a row for each key, and the examples", () => {
    const on = key(z.boolean({ error: "yes | no" }).default(false), "Whether it is.");
    const schema = z.object({
      group: key(z.strictObject({ on }, { error: "x" }), "All.", { examples: [{ on: true }] }),
    });
    expect(referenceTables(sectionsOf(schema))).to.match(
      /\| `on` \| `false` \| yes \\\| no \| Whether it is\. \|\n\n```yaml\ntailkube:group:\n {2}on: true\n```\n$/,
    );
  });
});

describe("projectConfig", () => {
  it("declares types of scalars alone, no default of what is required, and folds what is long", () => {
    const long = "It is long: ".repeat(12).trim();
    const schema = z.object({
      size: key(z.string({ error: "a size" }), "How large."),
      on: key(z.boolean({ error: "x" }).default(true), long),
      group: key(
        z.strictObject({ a: words(z.string()), b: words(z.string()) }, { error: "x" }).prefault({ a: "", b: "" }),
        "All.",
      ),
      sshPrivateKey: words(z.string().optional()),
    });
    const [first, ...others] = sectionsOf(schema);
    const text = projectConfig([first!, ...others]);
    expect(text.split("\n").every((line) => line.length <= 120)).to.equal(true);
    expect(text).to.match(/^config:\n {2}size:\n {4}type: string\n {4}description: How large\.\n {2}on:\n/);
    expect(text).to.match(/\n {4}description: >-\n {6}It is long: /);
    expect(text).to.include('  group:\n    description: "All. An object: a, b."\n    default: {}\n');
    expect(text).to.include('  sshPrivateKey:\n    description: It is.\n    secret: true\n    default: ""\n');
  });
});
