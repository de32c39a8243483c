/** OpenSSH's own server on loopback, for what the operator's scripts do with OpenSSH's client. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

const sshd = "/usr/sbin/sshd";

/** Why there can be no server here; undefined if there can. */
export function whyNoSshd(): string | undefined {
  if (!existsSync(sshd)) return "there is no /usr/sbin/sshd (Debian's openssh-server)";
  return (
    ["ssh", "ssh-agent", "ssh-add", "ssh-keygen"].find((name) => !isInstalled(name)) && "there is no OpenSSH client"
  );
}

export const isInstalled = (name: string) => spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;

export interface KeyPair {
  file: string;
  private: string;
  /** Type and base64. */
  public: string;
}

export interface ServerOptions {
  /** Host key types; one of them is the pinned one. Default: ed25519. */
  hostKeys?: readonly ("ed25519" | "ecdsa" | "rsa")[];
  /** Public keys that may log in. */
  allowed: readonly string[];
  /** Further lines of sshd_config. */
  lines?: readonly string[];
}

/** A folder with keys and servers; `close` ends and removes all of them. */
export class SshLab {
  readonly folder = mkdtempSync(join(tmpdir(), "tailkube-sshd-"));
  readonly user = userInfo().username;
  private readonly running: ChildProcess[] = [];

  constructor() {
    // sshd reads authorized keys as the user who logs in.
    chmodSync(this.folder, 0o755);
  }

  private count = 0;

  keyPair(type = "ed25519", ...options: string[]): KeyPair {
    const file = join(this.folder, `key-${this.count++}`);
    const passphrase = options.includes("-N") ? [] : ["-N", ""];
    execFileSync("ssh-keygen", ["-q", "-t", type, "-C", "test", ...passphrase, ...options, "-f", file]);
    return {
      file,
      private: readFileSync(file, "utf8"),
      public: readFileSync(`${file}.pub`, "utf8").split(" ").slice(0, 2).join(" "),
    };
  }

  async server({ hostKeys = ["ed25519"], allowed, lines = [] }: ServerOptions): Promise<SshServer> {
    const keys = hostKeys.map((type) => this.keyPair(type));
    const folder = join(this.folder, `server-${this.count++}`);
    mkdirSync(folder);
    const port = await freePort();
    writeFileSync(join(folder, "allowed"), allowed.map((key) => `${key}\n`).join(""));
    const config = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      ...keys.map(({ file }) => `HostKey ${file}`),
      `AuthorizedKeysFile ${folder}/allowed`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin yes",
      "PidFile none",
      "LogLevel VERBOSE",
      ...lines,
    ];
    writeFileSync(join(folder, "config"), `${config.join("\n")}\n`);
    // sshd's own folder for what runs without privileges.
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
    const child = spawn(sshd, ["-D", "-f", join(folder, "config"), "-E", join(folder, "log")], { stdio: "ignore" });
    this.running.push(child);
    await answers(port, () => readFileSync(join(folder, "log"), "utf8"));
    return { port, hostKey: keys[0]!.public, log: () => readFileSync(join(folder, "log"), "utf8") };
  }

  /** An ssh-agent with some keys; its socket. */
  async agent(...keys: readonly KeyPair[]): Promise<string> {
    const socket = join(this.folder, `agent-${this.count++}`);
    this.running.push(spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" }));
    while (!existsSync(socket)) await pause(50);
    for (const { file } of keys) {
      execFileSync("ssh-add", ["-q", file], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: "pipe" });
    }
    return socket;
  }

  /** A program in a folder of its own; the folder. */
  program(name: string, text: string): string {
    const folder = join(this.folder, `bin-${this.count++}`);
    mkdirSync(folder);
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
    return folder;
  }

  close(): void {
    for (const child of this.running) child.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface SshServer {
  port: number;
  /** Of the first of its types. */
  hostKey: string;
  log(): string;
}

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function answers(port: number, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const isUp = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        done(true);
      });
      socket.on("error", () => done(false));
    });
    if (isUp) return;
    await pause(100);
  }
  throw new Error(`sshd does not answer at port ${port}: ${log()}`);
}
