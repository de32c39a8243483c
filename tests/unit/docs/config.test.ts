import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { z } from "zod";
import { stackSchema } from "../../../config/schema/stack";
import { allSections, reference, referencePath, words } from "../../../docs/generate";
import { type Field, referenceTables, sectionsOf } from "../../../docs/reference";

const fields = (): Field[] => allSections().flatMap((section) => section.fields);

describe("docs/reference/config.md", () => {
  it("is what the schema makes it: npm run docs writes it anew", async () => {
    expect(readFileSync(referencePath, "utf8")).to.equal(await reference());
  });

  it("has every key of the schema, and says nothing of keys that there are none", () => {
    expect([...words().keys()]).to.have.members(fields().map(({ path }) => path));
    expect(fields().map(({ path }) => path)).to.include.members([
      ...Object.keys(stackSchema.shape),
      "nodes[].taints[].effect",
      "security.podPidsLimit",
      "hostProfile.containerd.restrictOomScoreAdj",
    ]);
  });

  it("has the defaults that Pulumi.yaml declares", () => {
    const { config } = parse(readFileSync(join(__dirname, "../../../Pulumi.yaml"), "utf8")) as {
      config: Record<string, { default?: unknown }>;
    };
    for (const [key, schema] of Object.entries(stackSchema.shape).filter(([name]) => name !== "nodes")) {
      const declared = config[key]!.default;
      const given = schema.safeParse(declared === "" ? undefined : declared);
      expect(given.data, key).to.deep.equal(schema.safeParse(undefined).data);
    }
  });
});

describe("sectionsOf", () => {
  const example = z.object({
    size: z.enum(["small", "large"], { error: "small or large" }).default("small"),
    list: z.array(
      z.strictObject({ name: z.string({ error: "a name" }), note: z.string().optional() }, { error: "an object" }),
      {
        error: "a list",
      },
    ),
  });

  it("has a section for each object, with what the schema says of its keys", () => {
    expect(sectionsOf(example)).to.deep.equal([
      {
        path: "",
        fields: [
          { path: "size", allowed: "small or large", isRequired: false, default: "small" },
          { path: "list", allowed: "a list", isRequired: true, default: undefined },
        ],
      },
      {
        path: "list[]",
        fields: [
          { path: "list[].name", allowed: "a name", isRequired: true, default: undefined },
          { path: "list[].note", allowed: "any text", isRequired: false, default: undefined },
        ],
      },
    ]);
  });

  it("tells kinds of an object apart", () => {
    const kinds = z.object({
      host: z.preprocess(
        (value) => value,
        z.discriminatedUnion(
          "kind",
          [
            z.strictObject({ kind: z.literal("a"), at: z.string({ error: "a place" }) }),
            z.strictObject({ kind: z.literal("b") }),
          ],
          { error: "a or b" },
        ),
      ),
    });
    expect(
      sectionsOf(kinds).map(({ path, fields }) => [path, fields.map((field) => `${field.path}: ${field.allowed}`)]),
    ).to.deep.equal([
      ["", ["host: a or b"]],
      ["host[a]", ["host[a].kind: a", "host[a].at: a place"]],
      ["host[b]", ["host[b].kind: b"]],
    ]);
    const words = new Map(["host", "host[a].kind", "host[a].at", "host[b].kind"].map((path) => [path, "It is."]));
    expect(referenceTables(sectionsOf(kinds), words)).to.include("| `host`: [a](#hosta), [b](#hostb) | required |");
  });

  it("insists that a schema says what is allowed", () => {
    expect(() => sectionsOf(z.object({ count: z.number() }))).to.throw(
      "count: the schema does not say what is allowed",
    );
  });
});

describe("referenceTables", () => {
  const sections = sectionsOf(z.object({ on: z.boolean({ error: "yes | no" }).default(false) }));

  it("has a row for each key", () => {
    expect(referenceTables(sections, new Map([["on", "Whether it is."]]))).to.equal(
      "| Key | Default | Allowed | What it is |\n| --- | --- | --- | --- |\n| `on` | `false` | yes \\| no | Whether it is. |\n",
    );
  });

  it("insists on words for each", () => {
    expect(() => referenceTables(sections, new Map())).to.throw("on: nothing says what it is; describe it in");
  });
});
