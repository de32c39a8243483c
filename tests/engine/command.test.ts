/** What the command provider does with local and remote commands: the original and its stand-in alike. */
import { expect } from "chai";
import { utils } from "ssh2";
import { Journal, until } from "./cli";
import { failure, type Props, Provider, secret, UNKNOWN } from "./provider";
import { generateKeyPair, TestSshServer } from "./ssh-server";

describe("the command provider: local commands", function () {
  this.timeout(120_000);
  const provider = new Provider("command:local:Command");
  let journal: Journal;

  before(() => provider.start());
  after(() => provider.stop());
  beforeEach(() => {
    journal = new Journal();
    provider.shown.length = 0;
  });

  const quiet = (inputs: Props): Props => ({ logging: "none", ...inputs });
  const expose = (word: string): string =>
    `cat >> '${journal.file}'; echo ${word} "stdout=$PULUMI_COMMAND_STDOUT" "stderr=$PULUMI_COMMAND_STDERR" >> '${journal.file}'`;

  it("get their standard input when they are created, updated and deleted", async () => {
    const commands = quiet({ create: expose("create"), update: expose("update"), delete: expose("delete") });
    const first = await provider.create({ ...commands, stdin: secret("first\n") });
    expect(first.id).to.match(/^a[0-9a-f]{8}$/);
    expect(journal.take()).to.deep.equal(["first", "create stdout= stderr="]);
    const second = await provider.update(first, { ...commands, stdin: secret("second\n") });
    expect(journal.take()).to.deep.equal(["second", "update stdout= stderr="]);
    await provider.delete(second);
    expect(journal.take()).to.deep.equal(["second", "delete stdout= stderr="]);
  });

  it("get what they said last when they are updated and deleted, unless that is switched off", async () => {
    const commands = quiet({
      create: "echo made; echo careful >&2",
      update: `${expose("update")}; echo changed`,
      delete: expose("delete"),
    });
    const first = await provider.create({ ...commands, stdin: "1\n" });
    const second = await provider.update(first, { ...commands, stdin: "2\n" });
    expect(journal.take()).to.deep.equal(["2", "update stdout=made stderr=careful"]);
    await provider.delete(second);
    expect(journal.take(), "an empty one is not set").to.deep.equal(["2", "delete stdout=changed stderr="]);

    const without = { ...commands, addPreviousOutputInEnv: false };
    const third = await provider.create({ ...without, stdin: "1\n" });
    await provider.delete(await provider.update(third, { ...without, stdin: "2\n" }));
    expect(journal.take()).to.deep.equal(["2", "update stdout= stderr=", "2", "delete stdout= stderr="]);
  });

  it("without `create` do nothing at first, and run `update` when an input changes", async () => {
    const update = `${journal.note("update")}; echo changed`;
    const first = await provider.create(quiet({ update, stdin: "1" }));
    expect(journal.take()).to.deep.equal([]);
    expect(first.outputs).to.deep.equal({ update, stdin: "1", logging: "none", stdout: "", stderr: "" });
    const second = await provider.update(first, quiet({ update, stdin: "2" }));
    expect(journal.take()).to.deep.equal(["update"]);
    expect(second.outputs).to.include({ stdin: "2", stdout: "changed" });
    await provider.delete(second);
    expect(journal.take(), "nothing to run for its deletion").to.deep.equal([]);
  });

  it("with `delete` alone run nothing when an input changes, and delete with the last inputs", async () => {
    const remove = (word: string) => quiet({ delete: `cat >> '${journal.file}'; ${journal.note(word)}` });
    const first = await provider.create({ ...remove("delete 1"), stdin: secret("input 1\n") });
    const second = await provider.update(first, { ...remove("delete 2"), stdin: secret("input 2\n") });
    expect(journal.take()).to.deep.equal([]);
    expect(second.outputs).to.deep.include({ stdin: secret("input 2\n"), stdout: "", stderr: "" });
    await provider.delete(second);
    expect(journal.take()).to.deep.equal(["input 2", "delete 2"]);
  });

  it("run `create` on an update that has no `update`", async () => {
    const first = await provider.create(quiet({ create: journal.note("create"), stdin: "1" }));
    await provider.update(first, quiet({ create: journal.note("create again"), stdin: "2" }));
    expect(journal.take()).to.deep.equal(["create", "create again"]);
  });

  it("take one newline off what they say", async () => {
    const { outputs } = await provider.create(quiet({ create: "printf 'x\\n\\n'; printf 'y\\n' >&2" }));
    expect(outputs).to.include({ stdout: "x\n", stderr: "y" });
  });

  it("run in a folder, by an interpreter and in an environment of their own", async () => {
    const inputs = {
      create: "pwd; echo $WHO",
      dir: "/",
      interpreter: ["/bin/bash", "-ec"],
      environment: { WHO: "me" },
    };
    expect((await provider.create(quiet(inputs))).outputs.stdout).to.equal("/\nme");
  });

  it("show the output that `logging` names, line by line, while they are deleted too", async () => {
    const say = "echo out; printf 'no newline' >&2";
    const shown = async (logging?: string): Promise<string[]> => {
      provider.shown.length = 0;
      await provider.delete(await provider.create({ delete: say, ...(logging && { logging }) }));
      return [...provider.shown].sort();
    };
    expect(await shown("none")).to.deep.equal([]);
    expect(await shown("stdout")).to.deep.equal(["out"]);
    expect(await shown("stderr")).to.deep.equal(["no newline"]);
    expect(await shown("stdoutAndStderr")).to.deep.equal(["no newline", "out"]);
    expect(await shown()).to.deep.equal(["no newline", "out"]);
  });

  it("that fail quote the command and all that it said, but never its standard input", async () => {
    const create = "cat > /dev/null; echo out; echo alas >&2; exit 5";
    const message = await failure(provider.create(quiet({ create, stdin: secret("swordfish-7\n") })));
    expect(message).to.match(/^exit status 5: running "cat > \/dev\/null;.*":\n(out\nalas|alas\nout)\n$/);
    expect(message).to.not.contain("swordfish");
  });

  it("end when the run is cancelled", async () => {
    const other = new Provider("command:local:Command");
    await other.start();
    try {
      const running = failure(other.create(quiet({ create: `${journal.note("begins")}; exec sleep 60` })));
      await until(() => journal.take().length > 0, "the command runs");
      await other.cancel();
      expect(await running).to.match(/^signal: killed: running "/);
    } finally {
      await other.stop();
    }
  });

  describe("are compared", () => {
    const state = (inputs: Props) => provider.create(quiet(inputs));

    it("by their inputs, nulls being none", async () => {
      const old = await state({ create: "true", stdin: "1", environment: { A: "1", B: "2" } });
      const changes = (inputs: Props, ignored?: string[]) => provider.diff(old, quiet(inputs), ignored);
      const same = { create: "true", stdin: "1", environment: { A: "1", B: "2" } };
      expect(await changes({ ...same, delete: null })).to.deep.equal({ changed: false, paths: [] });
      expect(await changes({ ...same, stdin: "2" })).to.deep.equal({ changed: true, paths: ["stdin"] });
      expect(await changes({ ...same, environment: { A: "2" } })).to.deep.equal({
        changed: true,
        paths: ["environment.A", "environment.B"],
      });
      expect(await changes({ ...same, stdin: secret("1") }), "secrecy is a change").to.deep.include({ changed: true });
    });

    it("and replaced when triggers are set or taken away; a change of one of them the SDK declares", async () => {
      const without = await state({ create: "true" });
      const one = await state({ create: "true", triggers: ["1"] });
      const withTriggers = (triggers?: string[]) => quiet({ create: "true", ...(triggers && { triggers }) });
      expect((await provider.diff(without, withTriggers(["1"]))).paths).to.deep.equal(["triggers replaces"]);
      expect((await provider.diff(one, withTriggers())).paths).to.deep.equal(["triggers replaces"]);
      expect((await provider.diff(one, withTriggers(["2"]))).paths).to.deep.equal(["triggers[0]"]);
    });

    it("but for what is ignored", async () => {
      const old = await state({ create: "true", stdin: "1" });
      expect(await provider.diff(old, quiet({ create: "true", stdin: "2" }), ["stdin"])).to.deep.equal({
        changed: false,
        paths: [],
      });
    });
  });

  it("have in previews what they said last until an input that they had changes, and then what nobody knows", async () => {
    expect((await provider.create(quiet({ update: "echo 2" }), true)).outputs.stdout, "created").to.equal(UNKNOWN);
    const old = await provider.create(quiet({ update: "echo 2", stdin: "1" }));
    const stdout = async (inputs: Props) => (await provider.update(old, quiet(inputs), true)).outputs.stdout;
    expect(await stdout({ update: "echo 2", stdin: "1" })).to.equal("");
    expect(await stdout({ update: "echo 2", stdin: "2" })).to.equal(UNKNOWN);
    expect(await stdout({ update: "echo 2" }), "taken away").to.equal(UNKNOWN);
    expect(await stdout({ update: "echo 2", stdin: UNKNOWN })).to.equal(UNKNOWN);
    expect(await stdout({ update: "echo 2", stdin: "1", delete: "true" }), "one more").to.equal("");
    expect(await stdout({ update: "echo 2", stdin: "1", dir: UNKNOWN })).to.equal(UNKNOWN);
    expect(journal.take()).to.deep.equal([]);
  });

  it("refuse inputs that they do not know, or of a wrong type", async () => {
    expect(await failure(provider.check({ create: "true", creat: "true" }))).to.contain("creat");
    expect(await failure(provider.check({ create: ["true"] }))).to.contain("string");
  });
});

describe("the command provider: remote commands", function () {
  this.timeout(120_000);
  const provider = new Provider("command:remote:Command");
  let server: TestSshServer;

  before(() => provider.start());
  after(() => provider.stop());
  beforeEach(async () => {
    server = new TestSshServer();
    await server.listen();
    provider.shown.length = 0;
  });
  afterEach(() => server.close());

  const inputs = (more: Props = {}, connection: Props = {}): Props => ({
    connection: secret({
      host: "127.0.0.1",
      port: server.port,
      privateKey: server.userKey.private,
      hostKey: server.hostPublicKey,
      dialErrorLimit: 2,
      ...connection,
    }),
    logging: "none",
    addPreviousOutputInEnv: false,
    ...more,
  });

  it("have a connection with defaults, secret as a whole and in its parts", async () => {
    const defaults = { host: "h", port: 22, user: "root", dialErrorLimit: 10, perDialTimeout: 15 };
    const plain = await provider.check({ connection: { host: "h" } });
    expect(plain.connection).to.deep.equal(secret(defaults));
    const withKey = await provider.check({ connection: { host: "h", privateKey: "key" } });
    expect(withKey.connection).to.deep.equal(secret({ ...defaults, privateKey: secret("key") }));
    expect(await failure(provider.check({ create: "true" }))).to.contain("connection");
    expect(await failure(provider.check({ connection: { user: "root" } }))).to.contain("host");
  });

  it("may have a connection or a host that is not known yet", async () => {
    const unknownHost = await provider.create({ create: "true", connection: { host: UNKNOWN, port: 1 } }, true);
    expect(unknownHost.outputs.stdout).to.equal(UNKNOWN);
    const unknownAll = await provider.create({ create: "true", connection: UNKNOWN }, true);
    expect(unknownAll.outputs.stdout).to.equal(UNKNOWN);
  });

  it("run with their standard input, and take one newline off their output", async () => {
    const { outputs } = await provider.create(inputs({ create: "cat; echo; echo oops >&2", stdin: "a b" }));
    expect(outputs).to.include({ stdout: "a b", stderr: "oops" });
    expect((await provider.create(inputs({ create: "printf 'x\\n\\n'" }))).outputs.stdout).to.equal("x\n");
  });

  it("log in by password, or by an encrypted key", async () => {
    const connection = secret({ host: "127.0.0.1", port: server.port, password: "open sesame" });
    expect((await provider.create(inputs({ create: "echo hi", connection }))).outputs.stdout).to.equal("hi");
    const pair = generateKeyPair("shut");
    Object.assign(server.userKey, pair);
    const byKey = inputs({ create: "echo ho" }, { privateKeyPassword: "shut", privateKey: pair.private });
    expect((await provider.create(byKey)).outputs.stdout).to.equal("ho");
  });

  it("that fail quote the command and all that it said, but never its standard input", async () => {
    const create = "grep -q s3cret && echo broken >&2; exit 4";
    const message = await failure(provider.create(inputs({ create, stdin: "s3cret\n" }))).then((text) => text);
    expect(message).to.match(/^Process exited with status 4: running "grep -q s3cret .*":\nbroken\n$/);
  });

  it("refuse a host with another key, or none of its type, and run nothing there", async () => {
    for (const hostKey of [generateKeyPair().public, utils.generateKeyPairSync("ecdsa", { bits: 256 }).public]) {
      const message = await failure(provider.create(inputs({ create: "echo hi" }, { hostKey, dialErrorLimit: 1 })));
      expect(message).to.match(/^after 1 failed attempts: ssh: handshake failed: ssh: (host key mismatch|no common)/);
    }
    expect(server.executed).to.deep.equal([]);
  });

  it("believe any host when no key is pinned", async () => {
    const connection = secret({ host: "127.0.0.1", port: server.port, privateKey: server.userKey.private });
    expect((await provider.create(inputs({ create: "echo hi", connection }))).outputs.stdout).to.equal("hi");
  });

  it("try again until a booting host answers, and give up at the limit of failures", async () => {
    const { port } = server;
    await server.close();
    const creating = provider.create(inputs({ create: "echo up" }, { dialErrorLimit: -1 }));
    await until(() => provider.shown.includes("Dial 1/inf failed: retrying"), "the first attempt failed");
    await server.listen(port);
    expect((await creating).outputs.stdout).to.equal("up");
    const message = await failure(provider.create(inputs({ create: "echo hi" }, { port: 1, dialErrorLimit: 2 })));
    expect(message).to.match(/^after 2 failed attempts: dial tcp 127\.0\.0\.1:1: /);
  });

  it("pass the environment, and the previous output unless told not to", async () => {
    const given = { addPreviousOutputInEnv: true, environment: { WHO: "me" } };
    const old = await provider.create(inputs({ ...given, create: "echo one" }));
    const update = "echo $WHO after $PULUMI_COMMAND_STDOUT";
    expect((await provider.update(old, inputs({ ...given, update }))).outputs.stdout).to.equal("me after one");
    const without = inputs({ ...given, update, addPreviousOutputInEnv: false });
    expect((await provider.update(old, without)).outputs.stdout).to.equal("me after");
  });

  it("without `create` connect nowhere at first; later changes run `update`, and the end only a `delete`", async () => {
    const journal = new Journal();
    const update = `cat >> '${journal.file}'; echo done`;
    const first = await provider.create(inputs({ update, stdin: "1.36.0\n" }));
    expect(first.outputs).to.include({ stdout: "", stderr: "" });
    expect(server.connections).to.equal(0);
    const changed = await provider.update(first, inputs({ update, stdin: "1.36.3\n" }));
    expect(journal.take()).to.deep.equal(["1.36.3"]);
    expect(changed.outputs).to.include({ stdout: "done" });
    await provider.delete(changed);
    expect(server.connections, "no `delete`, no connection").to.equal(1);
    await provider.delete(await provider.create(inputs({ delete: `cat >> '${journal.file}'`, stdin: "gone\n" })));
    expect(journal.take()).to.deep.equal(["gone"]);
  });

  it("show the output that `logging` names", async () => {
    await provider.create(inputs({ create: "echo out; echo err >&2", logging: "stderr" }));
    expect(provider.shown).to.deep.equal(["err"]);
  });

  it("fail when the connection is lost", async () => {
    const running = failure(provider.create(inputs({ create: "sleep 20" })));
    await until(() => server.executed.length > 0, "the command runs");
    server.drop();
    expect(await running).to.contain('running "sleep 20"');
  });
});
