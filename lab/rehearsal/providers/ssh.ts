/** SSH connections. */
import { Client, ConnectConfig, ServerHostKeyAlgorithm } from "ssh2";
import { setTimeout as sleep } from "timers/promises";
import type { CommandResult, CommandRun } from "./command";

export interface Connection {
  host: string;
  port: number;
  user: string;
  password: string | undefined;
  privateKey: string | undefined;
  privateKeyPassword: string | undefined;
  /** `<type> <base64>`, as in authorized_keys; undefined: any host is believed. */
  hostKey: string | undefined;
  agentSocketPath: string | undefined;
  /** How many attempts may fail; -1: any number. */
  dialErrorLimit: number;
  /** Seconds for one attempt; 0: no limit. */
  perDialTimeout: number;
}

/** The delay before another attempt grows by the factor up to the maximum, in ms. */
const FIRST_DELAY = 100;
const DELAY_FACTOR = 1.5;
const MAX_DELAY = 5_000;
/** A host that vanishes while a command runs is noticed after these, in ms and times. */
const KEEPALIVE_INTERVAL = 15_000;
const KEEPALIVE_MISSES = 8;
/** How many failed attempts pass before a word is said, and between words. */
const QUIET_ATTEMPTS = 20;

/** The host is another one than it should be: trying again does not help. */
class HostKeyError extends Error {}

/**
 * Connects, again and again until the limit of failures is reached.
 * @param say is told that the host does not answer yet
 */
export async function dial(
  connection: Connection,
  signal: AbortSignal,
  say: (message: string) => void,
): Promise<Client> {
  const address = `${connection.host}:${connection.port}`;
  let delay = FIRST_DELAY;
  for (let failures = 1; ; failures++) {
    if (signal.aborted) throw new Error(`connecting to ${address} was aborted`);
    let message: string;
    try {
      return await connectOnce(connection);
    } catch (error) {
      if (error instanceof HostKeyError) throw error;
      message = (error as Error).message;
    }
    if (connection.dialErrorLimit >= 0 && failures > connection.dialErrorLimit) {
      throw new Error(`cannot connect to ${address} after ${failures} attempts: ${message}`);
    }
    if (failures % QUIET_ATTEMPTS === 0) say(`${address} does not answer yet (${failures} attempts): ${message}`);
    await sleep(delay, undefined, { signal }).catch(() => undefined);
    delay = Math.min(delay * DELAY_FACTOR, MAX_DELAY);
  }
}

/** Runs a command; an abort closes the connection. */
export function execute(client: Client, run: CommandRun): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const lost = (error?: Error): void => {
      run.signal.removeEventListener("abort", abort);
      const why = error ? `: ${error.message}` : "";
      reject(new Error(`the connection was lost before the command ended${why}`));
    };
    // Signals do not reach commands of root in OpenSSH; without its connection a command ends when it next writes.
    const abort = (): void => void client.destroy();
    run.signal.addEventListener("abort", abort);
    client.on("error", lost);
    client.on("close", () => lost());
    client.exec(run.command, { env: run.environment }, (error, stream) => {
      if (error) return lost(error);
      let stdout = "";
      let stderr = "";
      let code: number | null | undefined;
      let signal: string | undefined;
      stream.setEncoding("utf8");
      stream.stderr.setEncoding("utf8");
      stream.on("data", (chunk: string) => {
        stdout += chunk;
        run.onStdout(chunk);
      });
      stream.stderr.on("data", (chunk: string) => {
        stderr += chunk;
        run.onStderr(chunk);
      });
      stream.on("exit", (exitCode: number | null, exitSignal?: string) => {
        code = exitCode;
        signal = exitSignal;
      });
      stream.on("close", () => {
        run.signal.removeEventListener("abort", abort);
        if (code === undefined) return lost();
        resolve({ code, signal, stdout, stderr });
      });
      stream.on("error", () => undefined);
      stream.end(run.stdin);
    });
  });
}

function connectOnce(connection: Connection): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new Client();
    let refused: HostKeyError | undefined;
    const config: ConnectConfig = {
      host: connection.host,
      port: connection.port,
      username: connection.user,
      readyTimeout: connection.perDialTimeout * 1000,
      keepaliveInterval: KEEPALIVE_INTERVAL,
      keepaliveCountMax: KEEPALIVE_MISSES,
    };
    if (connection.privateKey !== undefined) config.privateKey = connection.privateKey;
    if (connection.privateKeyPassword !== undefined) config.passphrase = connection.privateKeyPassword;
    if (connection.password !== undefined) {
      config.password = connection.password;
      config.tryKeyboard = true;
    }
    const agent = connection.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
    if (agent) config.agent = agent;
    if (connection.hostKey !== undefined) {
      const { type, key } = parseHostKey(connection.hostKey);
      config.algorithms = { serverHostKey: algorithmsOf(type) };
      config.hostVerifier = (offered: Buffer) => {
        if (offered.equals(key)) return true;
        refused = hostKeyMismatch(connection);
        return false;
      };
    }
    client.on("keyboard-interactive", (_name, _instructions, _language, prompts, finish) =>
      finish(prompts.map(() => connection.password ?? "")),
    );
    client.once("ready", () => {
      client.removeAllListeners("error");
      resolve(client);
    });
    client.on("error", (error) => {
      client.destroy();
      // A server that has no key of the pinned type at all is another one, too.
      const noCommonKey = connection.hostKey !== undefined && /no matching host key/i.test(error.message);
      reject(refused ?? (noCommonKey ? hostKeyMismatch(connection) : error));
    });
    client.connect(config);
  });
}

function hostKeyMismatch(connection: Connection): HostKeyError {
  return new HostKeyError(
    `the host key of ${connection.host}:${connection.port} is not the pinned one: this is another host, ` +
      "or somebody is between",
  );
}

function parseHostKey(line: string): { type: string; key: Buffer } {
  const match = /(?:^|\s)((?:ssh|ecdsa|sk)-[^\s]+)\s+([A-Za-z0-9+/=]+)/.exec(line.trim());
  if (!match) throw new HostKeyError("the pinned host key is malformed (expected `<type> <base64>`)");
  return { type: match[1]!, key: Buffer.from(match[2]!, "base64") };
}

function algorithmsOf(keyType: string): ServerHostKeyAlgorithm[] {
  return keyType === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [keyType as ServerHostKeyAlgorithm];
}
