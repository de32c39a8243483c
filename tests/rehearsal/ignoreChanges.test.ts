/** `ignoreChanges`: which values stay, and what is then done. */
import { expect } from "chai";
import type { Goal } from "../../lab/rehearsal/goal";
import { ignoreChanges } from "../../lab/rehearsal/ignoreChanges";
import { Props, secret, UNKNOWN } from "../../lab/rehearsal/values";
import { commandUrn, goal, Journal, Rehearsal } from "./harness";

describe("rehearsal: ignored changes", () => {
  const keep = (news: Props, olds: Props, ...paths: string[]): Props => {
    const { inputs, unfollowed } = ignoreChanges(news, olds, paths);
    expect(unfollowed).to.deep.equal([]);
    return inputs;
  };
  const failed = (news: Props, olds: Props, ...paths: string[]) => ignoreChanges(news, olds, paths);

  it("leave the old values, absent ones among them", () => {
    const news = { a: 1, b: 2 };
    expect(keep(news, { a: 0 }, "a", "b")).to.deep.equal({ a: 0 });
    expect(news, "the given values are not touched").to.deep.equal({ a: 1, b: 2 });
    expect(keep({}, { a: 1 }, "a")).to.deep.equal({ a: 1 });
    expect(keep({ a: { b: 1, c: 2 } }, { a: { b: 0 } }, "a.b", "a.c")).to.deep.equal({ a: { b: 0 } });
    expect(keep({ a: { b: 1 } }, {}, "a.b"), "what was not there goes").to.deep.equal({ a: {} });
    expect(keep({ a: "x" }, {}, "a.b.c", "d.e")).to.deep.equal({ a: "x" });
  });

  it("may be all, or all of something", () => {
    const olds = { create: "old", stdin: secret("old"), connection: secret({ host: "old" }) };
    expect(keep({ create: "new", stdin: "new", update: "new" }, olds, "*")).to.deep.equal(olds);
    expect(keep({ a: { x: 1, y: 2 } }, { a: { x: 0, z: 0 } }, "a.*")).to.deep.equal({ a: { x: 0, z: 0 } });
    expect(keep({ a: [1, { b: 2 }] }, { a: [0, { b: 0 }] }, "a[*].b")).to.deep.equal({ a: [1, { b: 0 }] });
    expect(keep({ triggers: [1, 2] }, { triggers: [3, 4] }, "triggers[*]")).to.deep.equal({ triggers: [3, 4] });
    expect(keep({ triggers: [1, 2] }, { triggers: [3, 4] }, "triggers[1]")).to.deep.equal({ triggers: [1, 4] });
  });

  it("reach through secrets, and what was secret stays so", () => {
    const news = { connection: { host: "new", port: 1 } };
    const olds = { connection: secret({ host: "old", port: 0 }) };
    expect(keep(news, olds, "connection.host")).to.deep.equal({ connection: { host: secret("old"), port: 1 } });
    expect(keep({ connection: secret(news.connection) }, olds, "connection.host")).to.deep.equal({
      connection: secret({ host: "old", port: 1 }),
    });
    expect(keep({ stdin: "plain" }, { stdin: secret("x") }, "stdin")).to.deep.equal({ stdin: secret("x") });
    expect(keep({ stdin: secret("x") }, { stdin: "plain" }, "stdin")).to.deep.equal({ stdin: "plain" });
    expect(keep({ a: ["n"] }, { a: secret(["o"]) }, "a[*]")).to.deep.equal({ a: [secret("o")] });
  });

  it("keep the old, known value where the new one is unknown", () => {
    const olds = { stdin: "old", connection: secret({ host: "old" }) };
    expect(keep({ stdin: UNKNOWN, connection: secret(UNKNOWN) }, olds, "stdin", "connection")).to.deep.equal(olds);
    const { inputs, unfollowed } = failed({ connection: UNKNOWN }, olds, "connection.host");
    expect(inputs, "nobody knows what is around it").to.deep.equal({ connection: UNKNOWN });
    expect(unfollowed).to.deep.equal(["connection.host"]);
  });

  it("cannot be followed into what only one of both has", () => {
    const longer = failed({ a: [1, 2] }, { a: [0] }, "a[*]");
    expect(longer).to.deep.equal({ inputs: { a: [0, 2] }, unfollowed: ["a[*]"] });
    expect(failed({ a: [1] }, { a: [0, 0] }, "a[1]")).to.deep.equal({ inputs: { a: [1] }, unfollowed: ["a[1]"] });
    expect(failed({}, { a: { b: 0 } }, "a.b")).to.deep.equal({ inputs: {}, unfollowed: ["a.b"] });
    expect(failed({ a: "x" }, { a: { b: 0 } }, "a.b")).to.deep.equal({ inputs: { a: "x" }, unfollowed: ["a.b"] });
    expect(failed({ a: "x" }, { a: [1] }, "a[0]", "a[0].b", "a.*").unfollowed).to.have.length(3);
    expect(keep({ a: [1] }, { a: [0] }, "a[7]"), "neither has it").to.deep.equal({ a: [1] });
  });
});

describe("rehearsal: resources with ignored changes", () => {
  let journal: Journal;
  let stack: Rehearsal;

  beforeEach(() => {
    journal = new Journal();
    stack = new Rehearsal();
  });

  type Register = (goal: Goal) => Promise<unknown>;
  const keeper = (value: Props[string], ignore: string[], options: Partial<Goal> = {}): Goal =>
    goal(
      "command:local:Command",
      "keeper",
      {
        create: value === UNKNOWN ? UNKNOWN : journal.note(`create ${JSON.stringify(value).length}`),
        delete: journal.note("delete"),
        stdin: secret(value),
        environment: value === UNKNOWN ? UNKNOWN : { VALUE: secret(value) },
        triggers: value === UNKNOWN ? UNKNOWN : [value],
        logging: "none",
      },
      { ignoreChanges: ignore, ...options },
    );
  const LISTED = ["create", "stdin", "environment", "triggers"];

  for (const [title, ignore] of [
    ["with all ignored", ["*"]],
    ["with everything listed", LISTED],
  ] as const) {
    it(`${title} are never updated or replaced`, async () => {
      const program = (value: Props[string]) => (register: Register) => register(keeper(value, [...ignore]));
      await stack.up(program("1"));
      expect(journal.take()).to.deep.equal(["create 3"]);
      const [before, writes] = [structuredClone(stack.find("keeper")), stack.writes];
      const result = await stack.up(program("two"));
      expect(result.counts).to.include({ update: 0, replace: 0, same: 2 });
      expect(journal.take()).to.deep.equal([]);
      expect(stack.find("keeper")).to.deep.equal(before);
      expect(stack.writes, "nothing to write").to.equal(writes);
    });

    it(`${title} keep their outputs in previews that do not know the new inputs`, async () => {
      let outputs: unknown;
      const program = (value: Props[string]) => async (register: Register) => {
        outputs = ((await register(keeper(value, [...ignore]))) as { outputs: unknown }).outputs;
      };
      await stack.up(program("1"));
      const before = outputs;
      const planned = await stack.up(program(UNKNOWN), true);
      expect(planned.counts, planned.output).to.include({ update: 0, replace: 0, same: 2 });
      expect(outputs).to.deep.equal(before);
    });
  }

  it("are still replaced when a trigger changes that is not ignored, with all the new inputs", async () => {
    const program = (value: string) => (register: Register) => register(keeper(value, ["create", "stdin"]));
    await stack.up(program("1"));
    journal.take();
    const result = await stack.up(program("two"));
    expect(result.counts).to.include({ replace: 1 });
    expect(journal.take()).to.deep.equal(["create 5", "delete"]);
    expect(stack.find("keeper")!.inputs!.stdin).to.deep.equal(secret("two"));
  });

  it("say what of them cannot be ignored", async () => {
    const program = (triggers: string[]) => (register: Register) =>
      register(goal("command:local:Command", "a", { create: "true", triggers }, { ignoreChanges: ["triggers[*]"] }));
    await stack.up(program(["1"]));
    const result = await stack.up(program(["2", "3"]));
    expect(result.output).to.contain(
      'info: a: cannot ignore changes in added or removed elements of the path: "triggers[*]"',
    );
    expect(result.counts.replace, "one more trigger replaces").to.equal(1);
    expect((await stack.up(program(["4", "5"]))).counts).to.include({ same: 2, replace: 0 });
  });

  it("are replaced with what they depend on by a trigger, unless the trigger's name itself is ignored", async () => {
    const root = (value: string): Goal =>
      goal("command:local:Command", "root", { create: "true", triggers: [value] }, { deleteBeforeReplace: true });
    const depending = { dependencies: [commandUrn("root")], propertyDependencies: { triggers: [commandUrn("root")] } };
    const program = (value: string, ignore: string[]) => async (register: Register) => {
      await register(root(value));
      await register(keeper(value, ignore, depending));
    };
    for (const [ignore, replaced] of [
      [LISTED, false],
      // The provider is asked what would be replaced, and knows names only.
      [["*"], true],
      [["create", "stdin", "environment", "triggers[*]"], true],
    ] as const) {
      stack = new Rehearsal();
      await stack.up(program("1", [...ignore]));
      journal.take();
      const result = await stack.up(program("2", [...ignore]));
      expect(result.ok, result.output).to.equal(true);
      expect(journal.take(), ignore.join()).to.deep.equal(replaced ? ["delete", "create 3"] : []);
    }
  });
});
