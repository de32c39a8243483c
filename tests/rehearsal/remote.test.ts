/** Commands on other hosts, against an SSH server on the loopback. */
import { expect } from "chai";
import { utils } from "ssh2";
import type { OperationContext } from "../../lab/rehearsal/providers/provider";
import { RemoteCommand } from "../../lab/rehearsal/providers/remoteCommand";
import type { ResourceState } from "../../lab/rehearsal/state/deployment";
import { Props, reveal, secret } from "../../lab/rehearsal/values";
import { Journal, until } from "./harness";
import { generateKeyPair, TestSshServer } from "./sshServer";

describe("rehearsal: remote commands", () => {
  let server: TestSshServer;
  const remote = new RemoteCommand();

  beforeEach(async () => {
    server = new TestSshServer();
    await server.listen();
  });

  afterEach(() => server.close());

  function context(log: string[] = [], signal = new AbortController().signal): OperationContext {
    return { urn: "", name: "host", signal, log: (line) => log.push(line), warn: (message) => log.push(message) };
  }

  function inputs(more: Props = {}, connection: Props = {}): Props {
    return remote.check(
      {
        connection: secret({
          host: "127.0.0.1",
          port: server.port,
          privateKey: server.userKey.private,
          hostKey: server.hostPublicKey,
          dialErrorLimit: 3,
          ...connection,
        }),
        logging: "none",
        addPreviousOutputInEnv: false,
        ...more,
      },
      undefined,
      "host",
    );
  }

  async function failure(work: Promise<unknown>): Promise<string> {
    try {
      await work;
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("it did not fail");
  }

  it("fills in the connection's defaults and keeps it secret", () => {
    const { connection } = remote.check({ connection: { host: "h" } }, undefined, "host");
    const defaults = { host: "h", port: 22, user: "root", dialErrorLimit: 10, perDialTimeout: 15 };
    expect(connection).to.deep.equal(secret(defaults));
    const withKey = remote.check({ connection: { host: "h", privateKey: "key" } }, undefined, "host").connection;
    expect(withKey).to.deep.equal(secret({ ...defaults, privateKey: secret("key") }));
  });

  it("runs a command with its standard input, and takes one newline off its output", async () => {
    const { id, outputs } = await remote.create(
      context(),
      inputs({ create: "cat; echo; echo oops >&2", stdin: "a b" }),
    );
    expect(id).to.match(/^host[0-9a-f]{8}$/);
    expect(outputs).to.include({ stdout: "a b", stderr: "oops" });
    const two = await remote.create(context(), inputs({ create: "printf 'x\\n\\n'" }));
    expect(two.outputs.stdout).to.equal("x\n");
  });

  it("logs in by password", async () => {
    const connection = { host: "127.0.0.1", port: server.port, password: "open sesame" };
    const { outputs } = await remote.create(context(), inputs({ create: "echo hi", connection }));
    expect(outputs.stdout).to.equal("hi");
  });

  it("logs in by an encrypted key", async () => {
    const connection = { privateKeyPassword: "shut", privateKey: "" };
    const pair = generateKeyPair("shut");
    Object.assign(server.userKey, pair);
    connection.privateKey = pair.private;
    const { outputs } = await remote.create(context(), inputs({ create: "echo hi" }, connection));
    expect(outputs.stdout).to.equal("hi");
  });

  it("gives the exit status and the end of standard error, never the command or its input", async () => {
    const message = await failure(
      remote.create(context(), inputs({ create: "grep -q s3cret && echo broken >&2; exit 4", stdin: "s3cret" })),
    );
    expect(message).to.contain("exit status 4").and.to.contain("broken");
    expect(message).to.not.contain("s3cret").and.to.not.contain("grep");
  });

  it("refuses a host with another key at once, without running anything", async () => {
    const other = generateKeyPair().public;
    const started = Date.now();
    const message = await failure(
      remote.create(context(), inputs({ create: "echo hi" }, { hostKey: other, dialErrorLimit: 100 })),
    );
    expect(message).to.contain("is not the pinned one");
    expect(Date.now() - started).to.be.lessThan(2_000);
    expect(server.executed).to.deep.equal([]);
  });

  it("refuses a host that has no key of the pinned type", async () => {
    const other = utils.generateKeyPairSync("ecdsa", { bits: 256 }).public;
    const message = await failure(remote.create(context(), inputs({ create: "echo hi" }, { hostKey: other })));
    expect(message).to.contain("is not the pinned one");
  });

  it("believes any host when no key is pinned", async () => {
    const connection = { host: "127.0.0.1", port: server.port, privateKey: server.userKey.private };
    const { outputs } = await remote.create(context(), inputs({ create: "echo hi", connection }));
    expect(outputs.stdout).to.equal("hi");
  });

  it("tries again until a booting host answers", async () => {
    const port = server.port;
    await server.close();
    const creating = remote.create(context(), inputs({ create: "echo up" }, { dialErrorLimit: -1 }));
    await new Promise((wake) => setTimeout(wake, 400));
    await server.listen(port);
    expect((await creating).outputs.stdout).to.equal("up");
  });

  it("gives up when the limit of failures is reached", async () => {
    const connection = { port: 1, dialErrorLimit: 2 };
    const message = await failure(remote.create(context(), inputs({ create: "echo hi" }, connection)));
    expect(message).to.contain("cannot connect to 127.0.0.1:1 after 3 attempts");
  });

  it("passes the environment, and the previous output unless told not to", async () => {
    const first = inputs({ create: "echo one", addPreviousOutputInEnv: true, environment: { WHO: "me" } });
    const { outputs } = await remote.create(context(), first);
    const old = { inputs: first, outputs } as unknown as ResourceState;
    const update = "echo $WHO after $PULUMI_COMMAND_STDOUT";
    const updated = await remote.update(context(), old, { ...first, update });
    expect(updated.stdout).to.equal("me after one");
    const without = await remote.update(context(), old, { ...first, update, addPreviousOutputInEnv: false });
    expect(without.stdout).to.equal("me after");
  });

  it("deletes by the delete command, with the standard input", async () => {
    const journal = new Journal();
    const props = inputs({ create: "true", delete: `cat >> '${journal.file}'`, stdin: "gone\n" });
    const { outputs } = await remote.create(context(), props);
    await remote.delete(context(), { outputs } as unknown as ResourceState);
    expect(journal.take()).to.deep.equal(["gone"]);
  });

  it("does not connect for a command that is not there", async () => {
    const { outputs } = await remote.create(context(), inputs({ delete: "true" }));
    expect(outputs).to.include({ stdout: "", stderr: "" });
    await remote.delete(context(), { outputs: inputs({ create: "true" }) } as unknown as ResourceState);
    expect(server.connections).to.equal(0);
  });

  it("shows the output that `logging` names", async () => {
    const command = { create: "echo out; echo err >&2" };
    const shown = async (logging: string): Promise<string[]> => {
      const lines: string[] = [];
      await remote.create(context(lines), inputs({ ...command, logging }));
      return lines.sort();
    };
    expect(await shown("none")).to.deep.equal([]);
    expect(await shown("stdout")).to.deep.equal(["out"]);
    expect(await shown("stderr")).to.deep.equal(["err"]);
    expect(await shown("stdoutAndStderr")).to.deep.equal(["err", "out"]);
    expect(() => inputs({ logging: "loud" })).to.throw('logging is "loud"');
  });

  it("closes the connection at once when it is aborted", async () => {
    const abortion = new AbortController();
    const running = failure(remote.create(context([], abortion.signal), inputs({ create: "sleep 20" })));
    await until(() => server.executed.length > 0, "the command runs");
    abortion.abort();
    await running;
    await until(() => server.isIdle, "the connection is closed");
  });

  it("says that the connection was lost", async () => {
    const running = failure(remote.create(context(), inputs({ create: "sleep 20" })));
    await until(() => server.executed.length > 0, "the command runs");
    server.drop();
    expect(await running).to.contain("the connection was lost");
  });

  it("refuses what it does not perform", () => {
    expect(() => inputs({}, { proxy: { host: "jump" } })).to.throw('does not support the input "proxy"');
    expect(() => inputs({ assetPaths: ["x"] })).to.throw('does not support the input "assetPaths"');
    expect(() => remote.check({ create: "true" }, undefined, "host")).to.throw("connection is missing");
    expect(reveal(inputs().connection!)).to.include({ user: "root" });
  });
});
