/** The command's connections, against OpenSSH's own server on loopback. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { secretLines, wayText } from "../../../components/hosts/openssh";
import { loginText } from "../../../components/hosts/operator-script";
import type { JumpHost, SshHostConfig } from "../../../model/config";
import type { AccessOutput } from "../../../model/outputs";
import { accessFrom, type ClusterAccess, type Node } from "../../../command/stack";
import { onHost, whyNoAnswer } from "../../../command/reach";
import { onFirstControlPlane } from "../../../command/checks";
import { SnapshotReader } from "../../../command/etcd";
import { gather } from "../../../command/status/gather";
import type { ClusterState } from "../../../command/status/state";
import { remoteCommand } from "../../../command/ssh";
import { usage } from "../../../command/usage";
import { removeTemporaryFolders, temporaryFolder, write } from "../host/bash";
import { type KeyPair, SshLab, type SshServer, whyNoSshd } from "../host/sshd";
import { accessFixture } from "./fixtures";

type Facts = ClusterState["nodes"][number]["facts"];
const root = join(__dirname, "../../..");

describe("the command tailkube and hosts", function () {
  // Each connection starts an agent and three shells, which takes seconds on a busy machine.
  this.timeout(600_000);
  let lab: SshLab;
  let key: KeyPair;
  let server: SshServer;

  before(async function () {
    const why = whyNoSshd();
    if (why !== undefined) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    lab = new SshLab();
    key = lab.keyPair();
    server = await lab.server({ allowed: [key.public] });
  });
  after(() => lab?.close());
  afterEach(removeTemporaryFolders);

  const node = (more: Partial<Node> = {}): Node => ({
    name: "cp1",
    role: "control-plane",
    address: "127.0.0.1",
    host: "127.0.0.1",
    port: server.port,
    user: lab.user,
    hostKey: server.hostKey,
    hasSudoPassword: false,
    login: loginText({ privateKey: key.private }),
    ...more,
  });

  const run = (on: Node, command: string, input = "") => onHost(on, { command, input, seconds: 300 });

  it("runs a command with its stdin, and has its exit status and both outputs", async () => {
    const { status, stdout, stderr } = await run(node(), "cat; echo oops >&2; exit 7", "hello\n");
    expect({ status, stdout: stdout.toString(), stderr }).to.deep.equal({
      status: 7,
      stdout: "hello\n",
      stderr: "oops",
    });
  });

  it("says why there is no answer", async () => {
    const other = await lab.server({ allowed: [key.public] });
    const stranger = lab.keyPair();
    for (const [on, why] of [
      [node({ hostKey: other.hostKey }), /another machine answers/],
      [node({ login: loginText({ privateKey: stranger.private }) }), /refuses the login/],
      [node({ port: 1 }), /Connection refused/],
      [node({ login: "no key\n\n" }), /private SSH key/],
    ] as const) {
      expect(whyNoAnswer(await run(on, "true"))).to.match(why);
    }
    const slow = await onHost(node(), { command: "sleep 60", seconds: 2 });
    expect(slow.status).to.equal(-1);
    expect(whyNoAnswer(slow)).to.equal("no end after 2 s");
  });

  it("goes through jump hosts, with keys of their own, a passphrase, and nothing of it in arguments or files", async () => {
    const passphrase = `open sesame ${process.pid}`;
    const protectedKey = lab.keyPair("ed25519", "-N", passphrase);
    const inner = await lab.server({ allowed: [protectedKey.public] });
    const jump: JumpHost = {
      address: "127.0.0.1",
      port: server.port,
      user: lab.user,
      hostKey: server.hostKey,
      keyFile: "/jump",
    };
    const jumpKey = lab.keyPair("ed25519", "-N", passphrase);
    const outer = await lab.server({ allowed: [jumpKey.public] });
    const host: SshHostConfig = {
      kind: "ssh",
      address: "127.0.0.1",
      port: inner.port,
      user: lab.user,
      via: [{ ...jump, port: outer.port, hostKey: outer.hostKey }],
    };
    const login = loginText({
      secretLines: secretLines([{ host, agent: false }], {
        privateKey: protectedKey.private,
        keyFiles: { "/jump": jumpKey.private },
        passphrase: passphrase,
      }),
    });
    const way = wayText({ host, address: "127.0.0.1", hostKey: inner.hostKey, agent: false });
    const running = run(node({ way, login, port: inner.port, hostKey: inner.hostKey }), "sleep 1; echo in");
    let arguments_ = "";
    const texts: string[] = [];
    let ended = false;
    void running.then(() => (ended = true));
    while (!ended) {
      await new Promise((done) => setTimeout(done, 50));
      arguments_ += spawnSync("ps", ["-eo", "args"], { encoding: "utf8" }).stdout;
      // ssh-agent has a group of its own, and therefore forgets TMPDIR.
      const files = [
        "/tmp",
        "-maxdepth",
        "2",
        "-path",
        "/tmp/tmp.*",
        "-type",
        "f",
        "-size",
        "-100k",
        "-exec",
        "cat",
        "{}",
        "+",
      ];
      texts.push(spawnSync("find", files, { encoding: "utf8", maxBuffer: 1 << 28 }).stdout);
    }
    const seen = texts.join("\n");
    const { stdout, stderr } = await running;
    expect({ stdout: stdout.toString(), stderr }).to.deep.equal({ stdout: "in\n", stderr: "" });
    for (const secret of [
      passphrase,
      protectedKey.private.split("\n")[1]!,
      Buffer.from(jumpKey.private).toString("base64").slice(0, 40),
    ]) {
      expect(arguments_.includes(secret)).to.equal(false);
      expect(seen.includes(secret)).to.equal(false);
    }
    // The ways were seen.
    expect(seen).to.include("Host tailkube-via-1");
  });

  it("falls over to the next control plane on no answer, but not because a command fails", async () => {
    const cluster = accessFixture({
      nodes: [node({ name: "cp1", port: 1 }), node({ name: "cp2" }), node({ name: "w1", role: "worker" })],
    });
    const { node: on, ran } = await onFirstControlPlane(cluster, (one) => run(one, "echo out; exit 1"));
    expect([on.name, ran.status]).to.deep.equal(["cp2", 1]);
    await onFirstControlPlane(accessFixture({ nodes: [node({ port: 1 })] }), (one) => run(one, "true")).then(
      () => expect.fail("it ran"),
      (error: { message: string; code: number }) => {
        expect(error.message).to.match(/no control plane answers \(cp1: Connection refused/);
        expect(error.code).to.equal(3);
      },
    );
  });

  it("gets a whole answer of every host, also of one that prints at login, and reasons of those that are silent", async () => {
    const cluster: ClusterAccess = accessFixture({
      endpoint: { address: "127.0.0.1", port: 1 },
      apiServerPort: 1,
      nodes: [node(), node({ name: "w1", role: "worker" }), node({ name: "w2", role: "worker", port: 1 })],
    });
    const { nodes, here } = await gather(cluster);
    const [cp1, w1, w2] = nodes.map(({ facts }) => facts) as [Facts, Facts, Facts];
    expect(here.nodes).to.have.property("none");
    if ("none" in cp1 || "none" in w1) return expect.fail(JSON.stringify([cp1, w1]));
    expect(w2)
      .to.have.property("none")
      .that.matches(/Connection refused/);
    expect(cp1.value.disks).to.have.property("value");
    expect(cp1.value.kernel).to.have.property("value", spawnSync("uname", ["-r"], { encoding: "utf8" }).stdout.trim());
    expect(cp1.value.controlPlane!.ready)
      .to.have.property("none")
      .that.matches(/Failed to connect|refused/);
    expect(w1.value.controlPlane).to.equal(undefined);
  });

  describe("as a program", () => {
    /** A folder with a Pulumi CLI that has this stack. */
    function stack(nodes: Node[], more: Partial<AccessOutput> = {}): { folder: string; env: NodeJS.ProcessEnv } {
      const folder = temporaryFolder();
      const logins = [...new Set(nodes.map(({ login }) => login))];
      const access = {
        ...accessFixture(),
        ...more,
        logins,
        nodes: nodes.map((one) => ({ ...one, login: logins.indexOf(one.login) })),
      };
      write(join(folder, "outputs"), JSON.stringify({ access, kubeconfig: "x" }), 0o600);
      const secrets = {
        "home:key": { value: "the-secret-of-the-config", secret: true },
        "home:name": { value: "open", secret: false },
      };
      write(join(folder, "config"), JSON.stringify(secrets));
      write(
        join(folder, "bin/pulumi"),
        `#!/bin/sh\necho "$PWD $*" >>${folder}/calls\ncase $1 in config) cat ${folder}/config ;; *) cat ${folder}/outputs ;; esac\n`,
        0o755,
      );
      return { folder, env: { ...process.env, HOME: folder, PATH: `${folder}/bin:${process.env.PATH}` } };
    }

    const tailkube = (args: string[], { folder, env }: { folder: string; env: NodeJS.ProcessEnv }, input?: string) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "command/tailkube.cjs"), ...args], {
        cwd: folder,
        env,
        encoding: "utf8",
        timeout: 300_000,
        ...(input !== undefined && { input }),
      });
      return { status, stdout, stderr };
    };

    it("runs a command by ssh with the operator's stdin, and ends as it does", () => {
      const here = stack([node({ name: "w1" })]);
      const ran = tailkube(["ssh", "w1", "--", "cat; echo $((1 + 1)); exit 5"], here, "from here\n");
      expect(ran).to.deep.equal({ status: 5, stdout: "from here\n2\n", stderr: "" });
      expect(tailkube(["ssh", "w1", "--", "printf", "%s|", "a b", "$HOME", "c'd"], here).stdout).to.equal(
        "a b|$HOME|c'd|",
      );
      expect(tailkube(["ssh", "w9"], here)).to.deep.include({
        status: 2,
        stderr: "tailkube: unknown node w9. Allowed: w1\n",
      });
    });

    it("gives a terminal to a login shell, if it has one itself", function () {
      if (spawnSync("sh", ["-c", "command -v script"]).status !== 0) this.skip();
      const { folder, env } = stack([node({ name: "w1" })]);
      const command = `${process.execPath} ${join(root, "command/tailkube.cjs")} ssh w1`;
      const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
        cwd: folder,
        env,
        encoding: "utf8",
        input: "tty; exit\n",
        timeout: 300_000,
      });
      expect(stdout).to.match(/\/dev\/pts\/\d+/);
    });

    it("shows the status as text and as JSON, and asks the stack that it is given", () => {
      const here = stack([node(), node({ name: "w1", role: "worker", port: 1 })], {
        endpoint: { address: "127.0.0.1", port: 1 },
        apiServerPort: 1,
      });
      const text = tailkube(["status", "--stack", "acme/home"], here);
      expect(text.status).to.equal(1);
      expect(text.stdout)
        .to.match(/^home: \d+ problems, causes first/)
        .and.to.match(/^w1 +worker +no answer +no answer/m);
      expect(text.stderr).to.equal("asking 2 hosts of home\n");
      expect(readFileSync(join(here.folder, "calls"), "utf8")).to.equal(
        `${here.folder} stack output --json --show-secrets --stack acme/home\n`,
      );
      const { problems } = JSON.parse(tailkube(["status", "--json"], here).stdout) as {
        problems: { id: string; node?: string }[];
      };
      expect(problems.map(({ id, node: on }) => `${id} ${on}`)).to.include("host-no-answer w1");
    });

    it("writes a bundle for its owner alone, without the secrets of stack and config", () => {
      const here = stack([node()], { endpoint: { address: "127.0.0.1", port: 1 }, apiServerPort: 1 });
      const ran = tailkube(["support", "--output", "bundle.tar.gz"], here);
      expect(ran.status, ran.stderr).to.equal(0);
      expect(statSync(join(here.folder, "bundle.tar.gz")).mode & 0o777).to.equal(0o600);
      const names = spawnSync("tar", ["-tzf", "bundle.tar.gz"], { cwd: here.folder, encoding: "utf8" }).stdout.split(
        "\n",
      );
      expect(names).to.include.members([
        "tailkube-support/status.txt",
        "tailkube-support/cp1/addresses.txt",
        "tailkube-support/cp1/journal-kubelet.log",
      ]);
      const text = spawnSync("tar", ["-xzOf", "bundle.tar.gz"], {
        cwd: here.folder,
        encoding: "latin1",
        maxBuffer: 1 << 28,
      }).stdout;
      expect(text).to.include("127.0.0.1");
      for (const secret of [key.private.split("\n")[1]!, "the-secret-of-the-config"])
        expect(text.includes(secret)).to.equal(false);
      expect(tailkube(["support", "--output", "bundle.tar.gz"], here).status).to.equal(2);
    });

    it("leaves no connection behind when it is interrupted", async () => {
      const silent = createServer().listen(0, "127.0.0.1");
      await new Promise((done) => silent.once("listening", done));
      const { port } = silent.address() as AddressInfo;
      const names = [...Array(12).keys()].map((i) => `w${i}`);
      const { folder, env } = stack(names.map((name) => node({ name, role: "worker", port })));
      const connections = () =>
        spawnSync("ps", ["-eo", "args"], { encoding: "utf8" })
          .stdout.split("\n")
          .filter((line) => line.includes(`-p ${port} `));
      const child = spawn(process.execPath, [join(root, "command/tailkube.cjs"), "status"], { cwd: folder, env });
      let stderr = "";
      child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
      const ended = new Promise((done) => child.on("close", done));
      while (connections().length < 3) await new Promise((done) => setTimeout(done, 100));
      child.kill("SIGINT");
      expect(await ended).to.equal(130);
      expect(stderr).to.equal("asking 12 hosts of home\n");
      while (connections().length > 0) await new Promise((done) => setTimeout(done, 100));
      silent.close();
    });

    it("ends with 3 without a stack's output, and says what to do", () => {
      const here = stack([]);
      for (const [outputs, why] of [
        ["{}", /no pulumi up has been completed/],
        ['{"kubeconfig": "x"}', /Run pulumi up once with this version of tailkube/],
        ['{"access": "x"}', /is not a cluster's access/],
      ] as const) {
        writeFileSync(join(here.folder, "outputs"), outputs);
        const ran = tailkube(["status"], here);
        expect(ran.status).to.equal(3);
        expect(ran.stderr).to.match(why);
      }
      write(join(here.folder, "bin/pulumi"), "#!/bin/sh\necho 'error: no stack selected' >&2; exit 255\n", 0o755);
      expect(tailkube(["status"], here))
        .to.deep.include({ status: 3 })
        .and.to.have.property("stderr")
        .that.includes("no stack selected");
    });

    it("downloads a snapshot whole, or not at all", () => {
      const bytes = Buffer.from([...Array(5000).keys()].map((i) => i % 256));
      const sum = createHash("sha256").update(bytes).digest("hex");
      const read = (stream: Buffer, size: number) => {
        const parts: Buffer[] = [];
        const reader = new SnapshotReader((data) => void parts.push(data));
        for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size));
        return { end: reader.end(), same: Buffer.concat(parts).equals(bytes) };
      };
      const sent = (text: string, data = bytes) => Buffer.concat([Buffer.from(text), data, Buffer.from("goodbye\n")]);
      for (const size of [1, 7, 4096, 100_000]) {
        expect(read(sent(`welcome\ntailkube-snapshot ${sum} 5000\n`), size)).to.deep.equal({ end: 5000, same: true });
      }
      expect(read(sent(`tailkube-snapshot ${"0".repeat(64)} 5000\n`), 4096).end).to.equal(undefined);
      expect(read(Buffer.from(`tailkube-snapshot ${sum} 5000\nshort`), 4096).end).to.equal(undefined);
      expect(read(Buffer.from("nothing"), 4096).end).to.equal(undefined);
      const here = stack([node({ port: 1 })]);
      const ran = tailkube(["etcd", "snapshot", "now.db"], here);
      expect(ran.status).to.equal(3);
      expect(ran.stderr).to.match(/no control plane answers/);
      expect(readdirSync(here.folder).filter((name) => name.startsWith("now"))).to.deep.equal([]);
      writeFileSync(join(here.folder, "now.db"), "kept");
      expect(tailkube(["etcd", "snapshot", "now.db"], here).status).to.equal(2);
    });
  });

  it("quotes several words of a command, and leaves one to the host's shell", () => {
    expect(remoteCommand(["a | b"])).to.equal("a | b");
    expect(remoteCommand(["sudo", "sh", "-c", "a | b"])).to.equal("sudo sh -c 'a | b'");
    expect(remoteCommand([])).to.equal("");
  });

  it("reads a stack's output", () => {
    const access = { ...accessFixture(), nodes: [{ ...node(), login: 1 }], logins: ["a", "b"] };
    expect(accessFrom({ mine: access }, "mine").nodes[0]!.login).to.equal("b");
  });

  it("says which option names another output, and the command has it", () => {
    for (const outputs of [{ other: {} }, { mine: "text" }, { mine: {} }]) {
      expect(() => accessFrom(outputs, "mine"), JSON.stringify(outputs)).to.throw(/ with --access$/);
    }
    expect(usage).to.match(/^ +--access NAME +the stack's output/m);
  });
});
