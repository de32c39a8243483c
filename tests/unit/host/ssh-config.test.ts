/** The operator's scripts with OpenSSH's client, against OpenSSH's own server on loopback. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { base64, secretLines, type SshSecrets, wayText } from "../../../components/hosts/openssh";
import { agentCommand, asRoot } from "../../../components/hosts/operator-script";
import { parseResult } from "../../../components/hosts/remote-script";
import { scriptText } from "../../../components/hosts/script-text";
import type { JumpHost, SshHostConfig } from "../../../model/config";
import { isInstalled, type KeyPair, SshLab, type SshServer, whyNoSshd } from "./sshd";

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

interface Options {
  via?: readonly JumpHost[];
  hostKey?: string | undefined;
  keyFile?: string;
  user?: string;
  secrets?: Partial<SshSecrets>;
  /** The operator's own agent. */
  agent?: string;
  /** What the host runs. */
  script?: string;
  rootOptional?: boolean;
  environment?: Record<string, string>;
  others?: string;
}

describe("OpenSSH's client on the operator's machine", function () {
  this.timeout(120_000);
  let lab: SshLab;
  let key: KeyPair;

  before(function () {
    const why = whyNoSshd();
    if (why !== undefined) {
      console.log(`      skipped: ${why}`);
      this.skip();
    }
    lab = new SshLab();
    key = lab.keyPair();
  });
  after(() => lab?.close());

  const temporary = () => mkdtempSync(join(tmpdir(), "tailkube-operator-"));

  /** Runs one of the operator's scripts as the engine does. Fails if it leaves a file or an agent behind. */
  async function run(
    file: "run-stage" | "run-guarded-stage" | "run-cleanup" | "scan",
    server: SshServer,
    more: Options = {},
  ): Promise<Run> {
    const user = more.user ?? lab.user;
    const host: SshHostConfig = {
      kind: "ssh",
      address: "127.0.0.1",
      port: server.port,
      user,
      ...(more.via && { via: [...more.via] }),
      ...(more.keyFile !== undefined && { keyFile: more.keyFile }),
    };
    const agent = more.agent !== undefined;
    const hostKey = "hostKey" in more ? more.hostKey : server.hostKey;
    const secrets = { privateKey: key.private, keyFiles: {}, ...more.secrets };
    const access = { way: "", secretLines: "", hasSudoPassword: secrets.sudoPassword !== undefined };
    const to = { user, openssh: access };
    const scripts = file === "scan" ? ["ssh-config", "scan"] : ["ssh-config", "answers", "ssh", file];
    const folder = temporary();
    const child = spawn("bash", ["--norc", "-c", agentCommand(true)], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        TMPDIR: folder,
        ...(more.agent !== undefined && { SSH_AUTH_SOCK: more.agent }),
        TAILKUBE_SCRIPT: scripts.map((name) => scriptText(`operator/${name}.sh`)).join("\n"),
        TAILKUBE_NODE: "w1",
        TAILKUBE_HOST: "127.0.0.1",
        TAILKUBE_PORT: `${server.port}`,
        TAILKUBE_USER: user,
        TAILKUBE_HOST_KEY: hostKey ?? "",
        TAILKUBE_WAY: wayText({ host, address: "127.0.0.1", hostKey, agent }),
        TAILKUBE_COMMAND: asRoot(to, "timeout --kill-after=10 60 bash -s -- apply", more.rootOptional),
        TAILKUBE_SHELL: asRoot(to, "bash -s --"),
        TAILKUBE_OTHER_HOSTS: more.others ?? "",
        TAILKUBE_LAST: "2",
        TAILKUBE_TRIES: "2",
        ...more.environment,
      },
    });
    const input = `${secretLines([{ host, agent }], secrets)}\n${more.script ?? 'echo "{\\"changed\\":[\\"$1\\"]}"'}\n`;
    const result = { status: null as number | null, stdout: "", stderr: "" };
    child.stdout.on("data", (data: Buffer) => (result.stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (result.stderr += data.toString()));
    child.stdin.on("error", () => undefined).end(input);
    result.status = await new Promise((done) => child.on("close", done));
    const left = readdirSync(folder).filter((name) => name !== "tailkube-not-cleaned.log" && !name.startsWith("."));
    rmSync(folder, { recursive: true });
    expect(left, "left behind").to.deep.equal([]);
    return result;
  }

  /** A run that ends well; its result. */
  async function ok(...args: Parameters<typeof run>) {
    const result = await run(...args);
    expect({ status: result.status, stderr: result.stderr }).to.deep.equal({ status: 0, stderr: "" });
    return result;
  }

  const server = (more: Partial<Parameters<SshLab["server"]>[0]> = {}) =>
    lab.server({ allowed: [key.public], ...more });
  const jump = (of: SshServer, more: Partial<JumpHost> = {}): JumpHost => ({
    address: "127.0.0.1",
    port: of.port,
    user: lab.user,
    hostKey: of.hostKey,
    ...more,
  });
  /** Makes the server pass each command to another shell, as it does with a login shell. */
  const shell = (command: string) => ({ lines: [`ForceCommand ${command}`] });

  describe("jump hosts", () => {
    it("are gone through in their order, one or two, and each pins its key", async () => {
      const [first, second, host] = [await server(), await server(), await server()];
      for (const via of [[], [jump(first)], [jump(first), jump(second)]]) {
        const { stdout } = await ok("run-stage", host, { via });
        expect(parseResult("w1", stdout)).to.deep.equal({ changed: ["apply"] });
      }
      expect(first.log()).to.include("Accepted publickey");
      expect(second.log().match(/Accepted publickey/g)).to.have.lengthOf(2);
      expect(host.log().match(/Accepted publickey/g)).to.have.lengthOf(6);
    });

    it("are refused with another key than the pinned one, and so is the host behind them", async () => {
      const [first, second, host] = [await server(), await server(), await server()];
      const other = lab.keyPair().public;
      const refused =
        /a jump host on the way to 127\.0\.0\.1 port \d+ does not have the host key that is in the config: .*tailkube-via-/;
      for (const via of [
        [jump(first, { hostKey: other }), jump(second)],
        [jump(first), jump(second, { hostKey: other })],
      ]) {
        for (const file of ["run-stage", "run-guarded-stage"] as const) {
          const { status, stderr } = await run(file, host, { via });
          expect(status).to.equal(1);
          expect(stderr).to.match(refused);
        }
        const { status, stderr } = await run("run-cleanup", host, { via });
        expect(status, "a clean-up does not take it for another machine").to.equal(1);
        expect(stderr).to.match(/a jump host on the way to .* so nothing was cleaned/);
      }
      const { status, stderr } = await run("run-stage", host, { via: [jump(first), jump(second)], hostKey: other });
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /a different machine answers at 127\.0\.0\.1 port \d+ than the one whose host key is in the stack/,
      );
      expect(host.log()).to.not.include("Accepted publickey");
    });

    it("have keys of their own", async () => {
      const own = lab.keyPair();
      const first = await lab.server({ allowed: [own.public] });
      const host = await server();
      const via = [jump(first, { keyFile: "bastion" })];
      await ok("run-stage", host, { via, secrets: { keyFiles: { bastion: own.private } } });
      expect(first.log()).to.not.include("Failed publickey");
    });

    it("that forward nothing are named, with what ssh says", async () => {
      const [first, host] = [await server({ lines: ["AllowTcpForwarding no"] }), await server()];
      const { status, stderr } = await run("scan", host, { via: [jump(first)], hostKey: undefined });
      expect(status).to.equal(1);
      expect(stderr).to.match(/no SSH server presents a host key at .*administratively prohibited/);
    });

    it("are the way of the guard's connections, the clean-up and the question whether another host answers", async () => {
      const [first, host, other] = [await server(), await server(), await server()];
      const via = [jump(first)];
      await ok("run-guarded-stage", host, { via });
      await ok("run-cleanup", host, { via });
      expect(first.log().match(/Accepted publickey/g)!.length).to.be.greaterThan(5);
      // A host that is silent behind a jump host that answers is passed over only if another host shows its key.
      const closed = { port: 1, hostKey: host.hostKey, log: () => "" };
      const way = (hostKey: string) =>
        base64(
          wayText({
            host: { kind: "ssh", address: "127.0.0.1", port: other.port, user: lab.user, via },
            address: "127.0.0.1",
            hostKey,
            agent: false,
          }),
        );
      const entry = (hostKey: string) => `127.0.0.1:${other.port},${hostKey.replace(" ", ",")},${way(hostKey)}`;
      // Port 1 refuses: the machine is up, so it is not skipped.
      const up = await run("run-cleanup", closed, { via, others: entry(other.hostKey) });
      expect(up.status).to.equal(1);
      expect(up.stderr).to.match(
        /cannot be reached, so nothing was cleaned .*open failed: connect failed: Connection refused/,
      );
      // Another machine there: it was not changed only if another host is itself.
      const another = { ...host, hostKey: lab.keyPair().public };
      const [right, wrong] = [
        await run("run-cleanup", another, { via, others: entry(other.hostKey) }),
        await run("run-cleanup", another, { via, others: entry(lab.keyPair().public) }),
      ];
      expect(right.status).to.equal(0);
      expect(right.stderr).to.match(/a different machine answers at .* it was not changed/);
      expect(wrong.status).to.equal(1);
      expect(wrong.stderr).to.match(/no other host of the cluster presents its pinned host key/);
    });
  });

  it("asks at the beginning of a destroy whether a host is itself, through the jump host", async () => {
    const [first, host] = [await server(), await server()];
    const via = [jump(first)];
    const online = (hostKey: string, jumps: readonly JumpHost[]) => {
      const to = { kind: "ssh" as const, address: "127.0.0.1", port: host.port, user: lab.user, via: [...jumps] };
      const way = base64(wayText({ host: to, address: "127.0.0.1", hostKey, agent: false }));
      const lines = secretLines([{ host: to, agent: false }], { privateKey: key.private, keyFiles: {} });
      return spawnSync("bash", ["--norc", "-c", agentCommand(true)], {
        input: `${lines}\ncp1=127.0.0.1:${host.port},${hostKey.replace(" ", ",")},${way}\n`,
        encoding: "utf8",
        timeout: 60_000,
        env: {
          PATH: process.env.PATH,
          TAILKUBE_SCRIPT: ["ssh-config", "answers", "online"]
            .map((name) => scriptText(`operator/${name}.sh`))
            .join("\n"),
        },
      });
    };
    const right = online(host.hostKey, via);
    expect({ status: right.status, stderr: right.stderr }).to.deep.equal({ status: 0, stderr: "" });
    const other = lab.keyPair().public;
    for (const [hostKey, jumps] of [
      [other, via],
      [host.hostKey, [jump(first, { hostKey: other })]],
      // A jump host that refuses every login says nothing about the host behind it.
      [host.hostKey, [jump(first, { user: "tailkube-probe" })]],
    ] as const) {
      const { status, stderr } = online(hostKey, jumps);
      expect(status, stderr).to.equal(1);
      expect(stderr, stderr).to.match(
        /^tailkube: none of the hosts can be reached, so nothing was removed and the stack keeps the cluster \(cp1: .+\)\./,
      );
    }
    expect(host.log()).to.not.include("Accepted");
  });

  describe("the first contact", () => {
    for (const type of ["ed25519", "ecdsa", "rsa"] as const) {
      it(`pins the key of a host that has only ${type}, through a jump host, and logs in by it`, async () => {
        const [first, host] = [await server(), await server({ hostKeys: [type] })];
        const via = [jump(first)];
        const { stdout } = await ok("scan", host, { via, hostKey: undefined });
        expect(stdout).to.equal(`${host.hostKey}\n`);
        expect(host.log()).to.not.include("Accepted publickey");
        await ok("run-stage", host, { via, hostKey: stdout.trim() });
      });
    }

    it("prefers ed25519, and says at once what is wrong with a jump host", async () => {
      const host = await server({ hostKeys: ["ed25519", "rsa", "ecdsa"] });
      expect((await ok("scan", host, { hostKey: undefined })).stdout).to.equal(`${host.hostKey}\n`);
      const first = await server();
      const wrong = { via: [jump(first, { hostKey: lab.keyPair().public })], hostKey: undefined };
      const { status, stderr } = await run("scan", host, wrong);
      expect(status).to.equal(1);
      expect(stderr).to.match(/no SSH server presents a host key at 127\.0\.0\.1 port \d+: .*tailkube-via-1/);
    });
  });

  describe("the first contact of the provider's own SSH", () => {
    const plain = { hostKey: undefined, environment: { TAILKUBE_WITHOUT_RSA: "1" } };

    it("pins ed25519 before ecdsa, and neither of them needs a key of the user's", async () => {
      for (const hostKeys of [["ed25519", "ecdsa"], ["ecdsa"]] as const) {
        const host = await server({ hostKeys: [...hostKeys] });
        expect((await ok("scan", host, plain)).stdout).to.equal(`${host.hostKey}\n`);
        expect(host.log()).to.not.include("Accepted");
      }
    });

    it("says at once what a host with only an RSA key needs", async () => {
      const { status, stderr } = await run("scan", await server({ hostKeys: ["rsa"] }), {
        ...plain,
        environment: { ...plain.environment, TAILKUBE_TRIES: "60" },
      });
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /^tailkube: w1: no SSH server presents a host key at 127\.0\.0\.1 port \d+: .*no matching host key type found.* For a host with only an RSA key, set host\.hostKey to that key, or ssh\.openssh: true\.\n$/,
      );
    });

    it("says what it waits for, and why it gave up", async () => {
      const nothing = { ...(await server()), port: 1 };
      const { status, stderr } = await run("scan", nothing, {
        ...plain,
        environment: { ...plain.environment, TAILKUBE_TRIES: "11", TAILKUBE_PAUSE: "0" },
      });
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /^tailkube: w1: waits for an SSH server at 127\.0\.0\.1 port \d+, since \d+ s: .*Connection refused\ntailkube: w1: no SSH server presents a host key at .*Connection refused\. Is the host up, .*\n$/,
      );
    });

    it("gives a name that does not resolve up after three tries", async () => {
      const host = await server();
      const address = "no-such-host.invalid";
      const { status, stderr } = await run("scan", host, {
        ...plain,
        environment: {
          ...plain.environment,
          TAILKUBE_HOST: address,
          TAILKUBE_WAY: wayText({
            host: { kind: "ssh", address, port: host.port, user: lab.user },
            address,
            agent: false,
          }),
          TAILKUBE_TRIES: "60",
          TAILKUBE_PAUSE: "0",
        },
      });
      expect(status).to.equal(1);
      expect(stderr).to.match(
        /no SSH server presents a host key at no-such-host\.invalid port \d+: .*[Cc]ould not resolve/,
      );
      expect(stderr).to.match(/For a name of ssh's own configuration, set ssh\.configFile\.\n$/);
    });
  });

  describe("keys", () => {
    it("are those of the operator's agent", async () => {
      const host = await server();
      await ok("run-stage", host, { agent: await lab.agent(lab.keyPair(), key), secrets: { privateKey: "" } });
    });

    it("of an agent that has gone: the run says so at once", async () => {
      const host = await server();
      for (const file of ["run-stage", "run-cleanup"] as const) {
        const { status, stderr } = await run(file, host, { agent: "/nowhere", secrets: { privateKey: "" } });
        expect(status).to.equal(1);
        expect(stderr).to.match(
          /^tailkube: w1: ssh\.agent is true, but no ssh-agent is at SSH_AUTH_SOCK \(\/nowhere\)\./,
        );
      }
    });

    for (const [what, options] of [
      ["OpenSSH's format", []],
      ["PEM", ["-m", "PEM"]],
      ["PKCS #8", ["-m", "PKCS8"]],
    ] as const) {
      it(`have a passphrase, in ${what}, which is in no argument, environment or file`, async () => {
        const passphrase = "open $e'same\" \\ 1";
        const locked = lab.keyPair("rsa", ...options, "-N", passphrase);
        const host = await lab.server({ allowed: [locked.public] });
        // ssh-add is asked what it can see of it.
        const bin = lab.program(
          "ssh-add",
          `#!/bin/bash\n# Of bash, for what it reads first must not be taken for the question.\n{ tr '\\0' '\\n' </proc/$$/environ; echo "$*"; find /tmp/tmp.* -type f -mmin -2 -exec cat {} + 2>/dev/null; } >>${lab.folder}/seen\nexec /usr/bin/ssh-add "$@"\n`,
        );
        const environment = { PATH: `${bin}:${process.env.PATH}` };
        await ok("run-stage", host, { secrets: { privateKey: locked.private, passphrase }, environment });
        const seen = readFileSync(`${lab.folder}/seen`, "utf8");
        expect(seen).to.not.include("e'same").and.to.not.include(base64(passphrase)).and.to.not.include("PRIVATE KEY");
        const wrong = await run("run-stage", host, { secrets: { privateKey: locked.private, passphrase: "no" } });
        expect(wrong.status).to.equal(1);
        expect(wrong.stderr).to.match(
          /^tailkube: w1: ssh-add refuses the private SSH key .*sshKeyPassphrase open it\?\n$/,
        );
      });
    }
  });

  describe("a password of sudo", () => {
    const password = "pa$$ 'w\"ord\\";
    /** A sudo that behaves as `sudo -S` does; what it has read as passwords is in `tries`. */
    function sudo(mode: "asks" | "does not ask" | "refuses") {
      const notes = join(lab.folder, `sudo-${Math.random().toString(36).slice(2)}`);
      mkdirSync(notes);
      const bin = lab.program(
        "sudo",
        `#!/bin/bash
echo "$*" >>${notes}/arguments
while [[ $1 = -* ]]; do case $1 in -p) shift 2 ;; --) shift; break ;; *) shift ;; esac; done
[ "${mode}" = "does not ask" ] && exec "$@"
for try in 1 2 3; do
  if ! IFS= read -r given; then echo "sudo: no password was provided" >&2; break; fi
  printf '%s\\n' "$given" >>${notes}/tries
  [ "$given" = ${"'" + password.replaceAll("'", "'\\''") + "'"} ] && exec "$@"
  echo "Sorry, try again." >&2
done
echo "sudo: $try incorrect password attempt" >&2
exit 1
`,
      );
      const read = (name: string) => (existsSync(`${notes}/${name}`) ? readFileSync(`${notes}/${name}`, "utf8") : "");
      return { ...shell(`export PATH=${bin}:$PATH; exec bash -c "$SSH_ORIGINAL_COMMAND"`), read };
    }

    const script = (secret: string) =>
      `main() { cat; echo "{\\"changed\\":[\\"$1\\",\\"${secret}\\"]}"; }\nmain "$1" </dev/null\n`;

    it("is asked for once, and is no part of the script, nor the script of it", async () => {
      for (const mode of ["asks", "does not ask"] as const) {
        const fake = sudo(mode);
        const host = await server(fake);
        for (const file of ["run-stage", "run-guarded-stage"] as const) {
          const { stdout } = await ok(file, host, {
            user: lab.user,
            secrets: { sudoPassword: password },
            script: script("payload"),
          });
          expect(parseResult("w1", stdout), `${file}: ${mode}`).to.deep.equal({ changed: ["apply", "payload"] });
        }
        const tries = fake.read("tries").split("\n").filter(Boolean);
        expect(new Set(tries)).to.deep.equal(new Set(mode === "asks" ? [password] : []));
        expect(fake.read("arguments")).to.match(/^-S -p +-- bash -c /m);
        expect(fake.read("arguments")).to.not.include("ord");
      }
    });

    it("that is wrong is tried once, and the run says so in one line", async () => {
      const fake = sudo("asks");
      const host = await server(fake);
      for (const file of ["run-stage", "run-guarded-stage"] as const) {
        const { status, stderr } = await run(file, host, {
          secrets: { sudoPassword: "wrong" },
          script: script("payload"),
        });
        expect(status).to.equal(1);
        expect(stderr).to.match(
          /^tailkube: w1: sudo at 127\.0\.0\.1 port \d+ does not accept sudoPassword for \S+: .*incorrect password attempt\. Correct it: [^\n]*\n$/,
        );
      }
      expect(fake.read("tries")).to.equal("wrong\nwrong\n");
    });
  });

  describe("sudo itself", () => {
    const user = `tailkube-test${process.pid % 1000}`;
    const password = "correct horse 7";
    const rules = `/etc/sudoers.d/${user}`;

    before(function () {
      const why =
        process.getuid?.() !== 0
          ? "the tests do not run as root"
          : ["sudo", "useradd"].find((one) => !isInstalled(one));
      if (why !== undefined) {
        console.log(`      skipped: ${why}${why.includes(" ") ? "" : " is not installed"}`);
        this.skip();
      }
      spawnSync("useradd", ["--create-home", "--shell", "/bin/sh", user]);
      spawnSync("chpasswd", { input: `${user}:${password}\n` });
    });
    after(() => {
      rmSync(rules, { force: true });
      if (process.getuid?.() === 0) spawnSync("userdel", ["--remove", user]);
    });

    const allow = (line: string) => writeFileSync(rules, `${line}\n`, { mode: 0o440 });
    const script = 'main() { echo "{\\"changed\\":[\\"$1\\",\\"$(id -un)\\"]}"; }\nmain "$1" </dev/null\n';

    for (const [what, rule] of [
      ["asks", `${user} ALL=(ALL) ALL`],
      ["asks each time", `Defaults:${user} timestamp_timeout=0\n${user} ALL=(ALL) ALL`],
      ["uses a terminal of its own", `Defaults:${user} use_pty\n${user} ALL=(ALL) ALL`],
      ["does not ask", `${user} ALL=(ALL) NOPASSWD: ALL`],
    ] as const) {
      it(`that ${what} runs the script as root`, async () => {
        allow(rule);
        const host = await server();
        const { stdout } = await run("run-stage", host, { user, secrets: { sudoPassword: password }, script });
        expect(parseResult("w1", stdout)).to.deep.equal({ changed: ["apply", "root"] });
      });
    }

    it("refuses a wrong password, and a user without rights", async () => {
      allow(`${user} ALL=(ALL) ALL`);
      const host = await server();
      const wrong = await run("run-stage", host, { user, secrets: { sudoPassword: "wrong" }, script });
      expect(wrong.status).to.equal(1);
      expect(wrong.stderr).to.match(
        /^tailkube: w1: sudo at .* does not accept sudoPassword for tailkube-test\d+: .*incorrect password attempt.*\n$/,
      );
      rmSync(rules);
      const none = await run("run-stage", host, { user, secrets: { sudoPassword: password }, script });
      expect(none.status).to.equal(1);
      expect(none.stderr).to.match(/not in the sudoers file/);
    });
  });

  describe("login shells", () => {
    for (const name of ["sh", "dash", "fish", "csh", "zsh", "busybox sh"]) {
      it(`${name}: stages, guard, facts without root's rights and a password of sudo`, async function () {
        if (!isInstalled(name.split(" ")[0]!)) {
          console.log(`      skipped: there is no ${name}`);
          this.skip();
        }
        const bin = lab.program(
          "sudo",
          '#!/bin/bash\n[ "$1" = -n ] && exit 1\nwhile [ "$1" != -- ]; do shift; done\nshift\nIFS= read -r _\nexec "$@"\n',
        );
        const host = await server(shell(`export PATH=${bin}:$PATH; exec ${name} -c "$SSH_ORIGINAL_COMMAND"`));
        for (const file of ["run-stage", "run-guarded-stage"] as const) {
          const { stdout } = await ok(file, host);
          expect(parseResult("w1", stdout)).to.deep.equal({ changed: ["apply"] });
        }
        const withPassword = await ok("run-stage", host, { secrets: { sudoPassword: "x" } });
        expect(parseResult("w1", withPassword.stdout)).to.deep.equal({ changed: ["apply"] });
        // What the provider's own SSH runs, too.
        const facts = asRoot({ user: "admin" }, "timeout 60 bash -s -- apply", true);
        const { stdout } = await run("run-stage", host, { environment: { TAILKUBE_COMMAND: facts } });
        expect(parseResult("w1", stdout)).to.deep.equal({ changed: ["apply"] });
      });
    }

    it("may print before, in the middle and at the end, with and without line breaks", async () => {
      const chatty =
        'echo welcome; echo none; printf "no line break"; (sleep 0.2; printf "in the middle {") & echo careful >&2';
      const host = await server(shell(`${chatty}; bash -c "$SSH_ORIGINAL_COMMAND"; printf "} bye"`));
      const script = `sleep 0.5; printf '%s\\n' '{"changed":["a {b} \\"c"],"key":"v}"}'`;
      for (const file of ["run-stage", "run-guarded-stage"] as const) {
        const { status, stdout } = await run(file, host, { script });
        expect(status).to.equal(0);
        expect(parseResult("w1", stdout)).to.deep.equal({ changed: ['a {b} "c'], key: "v}" });
      }
      const { status } = await run("run-cleanup", host, { script: "true" });
      expect(status).to.equal(0);
    });
  });

  it("what ssh says is in the error: no login, and no server", async () => {
    const host = await lab.server({ allowed: [lab.keyPair().public] });
    const denied = await run("run-stage", host);
    expect(denied.status).to.equal(1);
    expect(denied.stderr).to.match(/cannot be logged in to as \S+: .*Permission denied \(publickey\)/);
    const nowhere = await run("run-stage", { port: 1, hostKey: host.hostKey, log: () => "" });
    expect(nowhere.stderr).to.match(/cannot be logged in to as \S+: .*Connection refused/);
  });
});
