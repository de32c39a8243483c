/** A stack's reading of its own last outputs. */
import { expect } from "chai";
import { readFileSync } from "fs";
import { join } from "path";
import type { ResourceState, UntypedDeployment } from "../../lab/rehearsal/state/deployment";
import { namesStack } from "../../lab/rehearsal/stackReference";
import { Props, secret } from "../../lab/rehearsal/values";
import { cli, goal, Journal, PROJECT, Rehearsal, Registrations, STACK, STACK_URN, temporaryFolder } from "./harness";

const SELF = `organization/${PROJECT}/${STACK}`;
const PROVIDER_URN = `urn:pulumi:${STACK}::${PROJECT}::pulumi:providers:pulumi::default`;

describe("rehearsal: references of a stack to itself", () => {
  let stack: Rehearsal;

  beforeEach(() => (stack = new Rehearsal()));

  const recorded = (name: string): ResourceState | undefined =>
    stack.state.resources.find(({ urn }) => urn.endsWith(`::${name}`));

  /** A program that exports something; notes what it reads. */
  function program(outputs: Props, seen: Props[], more?: Registrations): Registrations {
    return async (register, requests) => {
      seen.push((await requests.read("last", SELF)).outputs!);
      await more?.(register, requests);
      requests.export(outputs);
    };
  }

  it("read the outputs of the last run, secret where they were; none at first", async () => {
    const seen: Props[] = [];
    const exported = { version: "1.36.3", kubeconfig: secret("k"), nodes: [{ name: "cp1", key: secret("x") }] };
    await stack.up(program(exported, seen), true);
    await stack.up(program(exported, seen));
    await stack.up(program({ version: "1.36.4" }, seen), true);
    await stack.up(program({ version: "1.36.4" }, seen));
    await stack.up(program({}, seen));
    const nothing = { name: SELF, outputs: {}, secretOutputNames: [] };
    const first = { name: SELF, outputs: exported, secretOutputNames: ["kubeconfig", "nodes"] };
    const second = { name: SELF, outputs: { version: "1.36.4" }, secretOutputNames: [] };
    expect(seen).to.deep.equal([nothing, nothing, first, first, second]);
  });

  it("read those of before a failed run, and of one that failed in its deletions", async () => {
    const seen: Props[] = [];
    const journal = new Journal();
    const stubborn = goal("command:local:Command", "stubborn", {
      create: "true",
      delete: `grep -q now '${journal.file}'`,
      logging: "none",
    });
    const broken = goal("command:local:Command", "broken", { create: "false" });
    await stack.up(program({ a: 1, b: 1 }, seen, (register) => register(stubborn)));
    const failed = await stack.up(program({ a: 2 }, seen, (register) => register(broken)));
    expect(failed.ok).to.equal(false);
    await stack.up(program({ a: 3 }, seen, (register) => register(stubborn)));
    const late = await stack.up(program({ a: 4, c: 4 }, seen));
    expect(late.ok).to.equal(false);
    journal.add("now");
    await stack.up(program({}, seen));
    const outputs = seen.map((read) => read.outputs);
    expect(outputs).to.deep.equal([{}, { a: 1, b: 1 }, { a: 1, b: 1 }, { a: 3 }, { a: 4, c: 4 }]);
  });

  it("are in the state as Pulumi's engine writes them, and no change", async () => {
    const seen: Props[] = [];
    const outputs = { version: "1.36.3", kubeconfig: secret("k") };
    const first = await stack.up(program(outputs, seen));
    expect(first.counts).to.include({ create: 1, same: 0 });
    const provider = recorded("default")!;
    expect(provider).to.include({ urn: PROVIDER_URN, custom: true, type: "pulumi:providers:pulumi" });
    const reference = {
      urn: `urn:pulumi:${STACK}::${PROJECT}::pulumi:pulumi:StackReference::last`,
      custom: true,
      id: SELF,
      type: "pulumi:pulumi:StackReference",
      inputs: { name: SELF },
      outputs: { name: SELF, outputs: {}, secretOutputNames: [] },
      parent: STACK_URN,
      external: true,
      provider: `${PROVIDER_URN}::${provider.id}`,
    };
    expect(recorded("last")).to.deep.equal(reference);

    const second = await stack.up(program(outputs, seen));
    expect(second.counts).to.deep.equal({ create: 0, update: 0, replace: 0, delete: 0, same: 1 });
    const { modified, ...rest } = recorded("last")!;
    expect(modified).to.match(/^\d{4}-\d\d-\d\dT/);
    const read = { name: SELF, outputs, secretOutputNames: ["kubeconfig"] };
    expect(rest).to.deep.equal({ ...reference, outputs: read });

    const writes = stack.writes;
    await stack.up(program(outputs, seen));
    expect(stack.writes, "nothing new to write").to.equal(writes);
  });

  it("are dropped without a deletion when the program reads no more", async () => {
    const seen: Props[] = [];
    await stack.up(program({}, seen));
    const planned = await stack.up(async () => undefined, true);
    expect(planned.output).to.contain("- last  delete  pulumi:pulumi:StackReference  (it was only read)");
    expect(planned.counts.delete).to.equal(0);
    const result = await stack.up(async () => undefined);
    expect(result.ok, result.output).to.equal(true);
    expect(result.counts.delete).to.equal(0);
    expect(stack.state.resources.map(({ urn }) => urn)).to.deep.equal([STACK_URN]);

    await stack.up(program({ a: 1 }, seen));
    expect((await stack.destroy()).ok).to.equal(true);
    expect(stack.state.resources).to.deep.equal([]);
    await stack.up(program({}, seen));
    expect(seen.at(-1)!.outputs, "a destroyed stack has none").to.deep.equal({});
  });

  it("outlive the replacement of what they depend on", async () => {
    const urn = `urn:pulumi:${STACK}::${PROJECT}::command:local:Command::root`;
    const run = (trigger: string) =>
      stack.up(async (register, { read }) => {
        const options = { deleteBeforeReplace: true };
        await register(goal("command:local:Command", "root", { create: "true", triggers: [trigger] }, options));
        await read("last", SELF);
      });
    await run("1");
    stack.state.resources.find(({ external }) => external)!.deletedWith = urn;
    const result = await run("2");
    expect(result.ok, result.output).to.equal(true);
    expect(result.counts).to.include({ replace: 1, delete: 0 });
    expect(result.output, "nothing is said of it, for nothing is done").to.not.contain("last");
  });

  it("are all that is read: other stacks and other resources are refused by name", async () => {
    const wrong = async (...request: [name: string, id: string, type?: string]): Promise<string> => {
      const result = await stack.up((_register, { read }) => read(...request));
      expect(result.ok).to.equal(false);
      return result.output;
    };
    expect(await wrong("other", `organization/${PROJECT}/prod`)).to.contain(
      'does not support reading of other stacks ("organization/project/prod", pulumi:pulumi:StackReference other)',
    );
    expect(await wrong("found", "id", "command:local:Command")).to.contain(
      "does not support reading of existing resources (`get`) (command:local:Command found)",
    );
    expect(stack.state.resources.map(({ urn }) => urn)).to.deep.equal([STACK_URN]);
  });

  it("may name the stack in each form that a backend without a cloud takes", () => {
    const takes = (name: string): boolean => namesStack(name, "tailkube", "dev");
    expect(["dev", "organization/dev", "organization/tailkube/dev"].map(takes)).to.deep.equal([true, true, true]);
    const others = [
      "prod",
      "acme/tailkube/dev",
      "organization/other/dev",
      "organization/tailkube/prod",
      "tailkube/dev",
    ];
    expect(others.filter(takes)).to.deep.equal([]);
  });
});

describe("rehearsal: a program that reads its stack's last outputs", function () {
  this.timeout(180_000);

  it("gets them as the last run left them", async () => {
    const folder = temporaryFolder();
    const run = (name: string, work: string, report: string, ...args: string[]) =>
      cli("last", folder, ["up", "-y", ...args], { RUN: name, WORK: work, REPORT: report });
    const outputs = async (): Promise<Record<string, unknown>> =>
      JSON.parse((await cli("last", folder, ["stack", "output", "--json", "--show-secrets"])).output) as never;

    const first = await run("one", "true", "", "-f");
    expect(first.code, first.output).to.equal(0);
    expect(await outputs()).to.deep.equal({ run: "one", password: "swordfish-one", done: "" });

    const again = await run("two", "true", "", "--expect-no-changes");
    expect(again.code, again.output).to.equal(0);
    expect(again.output).to.contain("before: one").and.to.contain("passwordBefore: [secret]");
    const second = { run: "two", password: "swordfish-two", before: "one", passwordBefore: "swordfish-one", done: "" };
    expect(await outputs()).to.deep.equal(second);

    const text = readFileSync(join(folder, "test.json"), "utf8");
    expect(text).to.not.contain("swordfish");
    const { resources } = (JSON.parse(text) as UntypedDeployment).deployment;
    const reference = resources!.find(({ external }) => external)!;
    expect(reference.urn.split("::").slice(2)).to.deep.equal(["pulumi:pulumi:StackReference", "last"]);
    expect(reference.outputs).to.deep.include({ name: "organization/last/test", secretOutputNames: ["password"] });
    expect(reference.outputs!.outputs).to.deep.include({ run: "one" });

    const failed = await run("three", "sleep 0.5; false", "yes", "-f");
    expect(failed.code, failed.output).to.equal(1);
    expect(await outputs(), "one of the outputs needed what failed").to.deep.equal(second);

    const independent = await run("four", "sleep 0.5; false", "", "-f");
    expect(independent.code, independent.output).to.equal(1);
    expect(await outputs(), "none of the outputs needed what failed").to.deep.include({ run: "four", before: "two" });
  });
});
