/** What commands get, when they run, and what is seen of them; through the whole engine. */
import { expect } from "chai";
import type { Goal } from "../../lab/rehearsal/goal";
import { secret, UNKNOWN } from "../../lab/rehearsal/values";
import { goal, Journal, Rehearsal } from "./harness";
import { TestSshServer } from "./sshServer";

const STDOUT = '"stdout=$PULUMI_COMMAND_STDOUT"';
const STDERR = '"stderr=$PULUMI_COMMAND_STDERR"';

describe("rehearsal: local commands", () => {
  let journal: Journal;
  let stack: Rehearsal;

  beforeEach(() => {
    journal = new Journal();
    stack = new Rehearsal();
  });

  const local = (inputs: Goal["inputs"], options: Partial<Goal> = {}): Goal =>
    goal("command:local:Command", "a", { logging: "none", ...inputs }, options);
  const up = (inputs: Goal["inputs"], options: Partial<Goal> = {}, dryRun = false) =>
    stack.up((register) => register(local(inputs, options)), dryRun);
  const expose = (word: string): string =>
    `cat >> '${journal.file}'; echo ${word} ${STDOUT} ${STDERR} >> '${journal.file}'`;

  it("get their standard input when they are created, updated and deleted", async () => {
    const commands = { create: expose("create"), update: expose("update"), delete: expose("delete") };
    await up({ ...commands, stdin: secret("first\n") });
    expect(journal.take()).to.deep.equal(["first", "create stdout= stderr="]);
    await up({ ...commands, stdin: secret("second\n") });
    expect(journal.take()).to.deep.equal(["second", "update stdout= stderr="]);
    await stack.destroy();
    expect(journal.take()).to.deep.equal(["second", "delete stdout= stderr="]);
  });

  it("get what they said last when they are updated and deleted, unless that is switched off", async () => {
    const commands = {
      create: "echo made; echo careful >&2",
      update: `${expose("update")}; echo changed`,
      delete: expose("delete"),
    };
    await up({ ...commands, stdin: "1\n" });
    await up({ ...commands, stdin: "2\n" });
    expect(journal.take()).to.deep.equal(["2", "update stdout=made stderr=careful"]);
    await stack.destroy();
    expect(journal.take(), "an empty one is not set").to.deep.equal(["2", "delete stdout=changed stderr="]);

    await up({ ...commands, addPreviousOutputInEnv: false, stdin: "1\n" });
    await up({ ...commands, addPreviousOutputInEnv: false, stdin: "2\n" });
    await stack.destroy();
    expect(journal.take()).to.deep.equal(["2", "update stdout= stderr=", "2", "delete stdout= stderr="]);
  });

  it("without `create` do nothing at first, and run `update` when an input changes", async () => {
    const update = `${journal.note("update")}; echo changed`;
    const first = await up({ update, stdin: "1" });
    expect(first.counts).to.include({ create: 2 });
    expect(journal.take()).to.deep.equal([]);
    expect(stack.find("a")!.outputs).to.deep.equal({ update, stdin: "1", logging: "none", stdout: "", stderr: "" });
    expect((await up({ update, stdin: "1" })).counts).to.include({ same: 2, update: 0 });
    const changed = await up({ update, stdin: "2" });
    expect(changed.counts).to.include({ update: 1, replace: 0 });
    expect(journal.take()).to.deep.equal(["update"]);
    expect(stack.find("a")!.outputs).to.include({ stdin: "2", stdout: "changed" });
    await stack.destroy();
    expect(journal.take(), "nothing to run for its deletion").to.deep.equal([]);
  });

  it("with `delete` alone run nothing when an input changes, but are updated", async () => {
    const remove = (word: string) => ({ delete: `cat >> '${journal.file}'; ${journal.note(word)}` });
    await up({ ...remove("delete 1"), stdin: secret("input 1\n") });
    const changed = await up({ ...remove("delete 2"), stdin: secret("input 2\n") });
    expect(changed.counts).to.include({ update: 1, replace: 0 });
    expect(journal.take()).to.deep.equal([]);
    expect(stack.find("a")!.outputs).to.deep.include({ stdin: secret("input 2\n"), stdout: "", stderr: "" });
    await stack.up(async () => undefined);
    expect(journal.take(), "the last inputs count").to.deep.equal(["input 2", "delete 2"]);
  });

  it("show what they say while they are deleted, with secrets hidden", async () => {
    const remove = "read -r key; echo \"w1 does not answer: passed over ($key)\" >&2; printf 'no newline'";
    const stdin = secret("swordfish-7\n");
    await up({ delete: remove, stdin, logging: "stdoutAndStderr" });
    const removed = await stack.up(async () => undefined);
    expect(removed.ok, removed.output).to.equal(true);
    expect(removed.output)
      .to.contain("a | w1 does not answer: passed over ([secret])")
      .and.to.contain("a | no newline");

    await up({ delete: remove, stdin, logging: "stderr" });
    const destroyed = await stack.destroy();
    expect(destroyed.output).to.contain("a | w1 does not answer").and.to.not.contain("no newline");
    await up({ delete: remove, stdin, logging: "none" });
    expect((await stack.destroy()).output).to.not.contain("a | ");
  });

  it("that fail to be deleted stay in the state, and their standard input out of the error", async () => {
    await up({ delete: "cat > /dev/null; echo alas >&2; exit 5", stdin: secret("swordfish-7\n") });
    const failed = await stack.up(async () => undefined);
    expect(failed.ok).to.equal(false);
    expect(failed.output).to.contain("a: the delete command ended with exit status 5:\n  alas");
    expect(failed.output).to.not.contain("swordfish").and.to.not.contain("/dev/null");
    expect(stack.find("a")).to.not.equal(undefined);
    expect(stack.state.pendingOperations).to.deep.equal([]);
  });

  it("have in previews what they said last until a present input changes, and then what nobody knows", async () => {
    const stdoutOf = async (inputs: Goal["inputs"]): Promise<unknown> => {
      let stdout: unknown;
      await stack.up(async (register) => {
        stdout = ((await register(local(inputs))) as { outputs: Goal["inputs"] }).outputs.stdout;
      }, true);
      return stdout;
    };
    expect(await stdoutOf({ update: "echo 2" }), "created").to.equal(UNKNOWN);
    await up({ update: "echo 2", stdin: "1" });
    expect(await stdoutOf({ update: "echo 2", stdin: "1" })).to.equal("");
    expect(await stdoutOf({ update: "echo 2", stdin: "2" })).to.equal(UNKNOWN);
    expect(await stdoutOf({ update: "echo 2" }), "taken away").to.equal(UNKNOWN);
    expect(await stdoutOf({ update: "echo 2", stdin: UNKNOWN })).to.equal(UNKNOWN);
    // The provider compares the inputs that the state has: one more is no change to it.
    expect(await stdoutOf({ update: "echo 2", stdin: "1", delete: "true" })).to.equal("");
    expect(await stdoutOf({ update: "echo 2", stdin: "1", dir: UNKNOWN })).to.equal(UNKNOWN);
  });
});

describe("rehearsal: remote commands without `create`", () => {
  let server: TestSshServer;

  beforeEach(async () => {
    server = new TestSshServer();
    await server.listen();
  });

  afterEach(() => server.close());

  it("connect nowhere at first; later changes run `update`, and the end runs only a `delete`", async () => {
    const journal = new Journal();
    const stack = new Rehearsal();
    const remote = (inputs: Goal["inputs"]): Goal =>
      goal("command:remote:Command", "a", {
        connection: {
          host: "127.0.0.1",
          port: server.port,
          privateKey: secret(server.userKey.private),
          hostKey: server.hostPublicKey,
        },
        logging: "none",
        addPreviousOutputInEnv: false,
        ...inputs,
      });
    const up = (inputs: Goal["inputs"]) => stack.up((register) => register(remote(inputs)));
    const update = `cat >> '${journal.file}'; echo done`;

    const first = await up({ update, stdin: "1.36.0\n" });
    expect(first.ok, first.output).to.equal(true);
    expect(stack.find("a")!.outputs).to.include({ stdout: "", stderr: "" });
    await up({ update, stdin: "1.36.0\n" });
    expect(server.connections).to.equal(0);

    const changed = await up({ update, stdin: "1.36.3\n" });
    expect(changed.ok, changed.output).to.equal(true);
    expect(changed.counts).to.include({ update: 1, replace: 0 });
    expect(journal.take()).to.deep.equal(["1.36.3"]);
    expect(stack.find("a")!.outputs).to.include({ stdout: "done" });

    await stack.destroy();
    expect(server.connections, "no `delete`, no connection").to.equal(1);
    await up({ delete: journal.note("delete") });
    expect(server.connections).to.equal(1);
    await stack.destroy();
    expect(journal.take()).to.deep.equal(["delete"]);
  });
});
