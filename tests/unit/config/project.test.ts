import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { stackSchema, structuredKeys } from "../../../config/schema/stack";
import { configOf } from "./fixtures";

interface Declaration {
  type?: string;
  description?: string;
  default?: unknown;
  secret?: boolean;
}

const project = parse(readFileSync(join(__dirname, "../../../Pulumi.yaml"), "utf8")) as {
  config: Record<string, Declaration>;
};

describe("Pulumi.yaml", () => {
  it("declares the keys that the program reads, each with a description", () => {
    expect(Object.keys(project.config)).to.have.members(Object.keys(stackSchema.shape));
    for (const [key, declaration] of Object.entries(project.config)) {
      expect(declaration.description, key).to.be.a("string").and.not.equal("");
    }
  });

  it("leaves no key but nodes without a default: the CLI would ask for it in every stack", () => {
    const required = Object.keys(project.config).filter((key) => project.config[key]?.default === undefined);
    expect(required).to.deep.equal(["nodes"]);
  });

  it("gives structure and secrets no type: the CLI has none for the first and refuses a default of the second", () => {
    for (const [key, { type, secret }] of Object.entries(project.config)) {
      expect(type === undefined, key).to.equal(structuredKeys.has(key) || secret === true);
    }
  });

  it("has the defaults of the program", () => {
    const stated = Object.entries(project.config)
      .filter(([key, declaration]) => key !== "nodes" && declaration.secret !== true)
      .map(([key, declaration]) => [key, declaration.default]);
    expect(configOf(Object.fromEntries(stated) as Record<string, unknown>)).to.deep.equal(configOf());
  });
});
