/** An SSH server on the loopback that runs commands with the local shell. */
import { ChildProcess, spawn } from "child_process";
import { AddressInfo } from "net";
import { Connection, Server, utils } from "ssh2";

export interface Executed {
  command: string;
  environment: Record<string, string>;
}

/** A key pair in OpenSSH's format. ssh2 now and then makes one that it cannot read itself: it is made again then. */
export function generateKeyPair(passphrase?: string): { public: string; private: string } {
  for (;;) {
    const encryption = { cipher: "aes256-cbc", rounds: 1 };
    const pair = utils.generateKeyPairSync("ed25519", passphrase ? { ...encryption, passphrase } : {});
    if (!(utils.parseKey(pair.private, passphrase) instanceof Error)) return pair;
  }
}

export class TestSshServer {
  /** A key pair that may log in as root; the private one in OpenSSH's format. */
  readonly userKey = generateKeyPair();
  readonly executed: Executed[] = [];
  /** How many connections got as far as the handshake. */
  connections = 0;
  port = 0;
  private readonly hostKey = generateKeyPair();
  private readonly server: Server;
  private readonly clients = new Set<Connection>();
  private readonly children = new Set<ChildProcess>();

  constructor(private readonly password = "open sesame") {
    this.server = new Server({ hostKeys: [this.hostKey.private] }, (client) => this.accept(client));
  }

  /** `<type> <base64>`, as in known_hosts. */
  get hostPublicKey(): string {
    return this.hostKey.public.split(" ").slice(0, 2).join(" ");
  }

  /** @param port 0: a free one */
  async listen(port = 0): Promise<void> {
    await new Promise<void>((done) => this.server.listen(port, "127.0.0.1", done));
    this.port = (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const child of this.children) child.kill("SIGKILL");
    for (const client of this.clients) client.end();
    await new Promise<void>((done) => this.server.close(() => done()));
  }

  /** Drops all connections, as a host does that loses its power. */
  drop(): void {
    for (const client of this.clients) client.end();
  }

  get isIdle(): boolean {
    return this.clients.size === 0;
  }

  private accept(client: Connection): void {
    this.clients.add(client);
    client.on("close", () => this.clients.delete(client));
    client.on("error", () => undefined);
    client.on("handshake", () => this.connections++);
    const allowed = utils.parseKey(this.userKey.public);
    if (allowed instanceof Error) throw allowed;
    client.on("authentication", (context) => {
      if (context.username !== "root") return context.reject();
      if (context.method === "password" && context.password === this.password) return context.accept();
      if (context.method === "publickey" && context.key.data.equals(allowed.getPublicSSH())) return context.accept();
      return context.reject(["publickey", "password"]);
    });
    client.on("session", (acceptSession) => {
      const session = acceptSession();
      const environment: Record<string, string> = {};
      session.on("env", (accept, _reject, info) => {
        environment[info.key] = info.val;
        accept?.();
      });
      session.on("exec", (accept, _reject, info) => {
        this.executed.push({ command: info.command, environment });
        const stream = accept();
        const running = spawn("/bin/sh", ["-c", info.command], { env: { ...process.env, ...environment } });
        this.children.add(running);
        stream.pipe(running.stdin);
        running.stdin.on("error", () => undefined);
        running.stdout.pipe(stream, { end: false });
        running.stderr.pipe(stream.stderr, { end: false });
        running.on("close", (code, signal) => {
          this.children.delete(running);
          if (signal) stream.exit(signal, false, "");
          else stream.exit(code ?? 1);
          stream.end();
        });
        client.on("close", () => running.kill("SIGKILL"));
      });
    });
  }
}
