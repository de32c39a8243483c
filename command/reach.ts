/** Commands on the cluster's hosts, over SSH as the program connects: pinned host keys, jump hosts, keys only in a short-lived agent. */
import { spawn, type StdioOptions } from "node:child_process";
import { agentCommand, asRoot, operatorEnvironment } from "../components/hosts/operator-script";
import type { Node } from "./stack";

export interface HostCommand {
  command: string;
  /** Stdin of the command. */
  input?: string;
  /** Time limit of the whole connection, in seconds. */
  seconds: number;
  /** Gets stdout piece by piece; without it, the result has it. */
  onData?: (data: Buffer) => void;
}

export interface Ran {
  /** Exit status of the host's command; 255 if there was no connection, -1 if the time was over. */
  status: number;
  stdout: Buffer;
  stderr: string;
}

/** The command with root's rights, as that node's user gets them. */
export const rootCommand = ({ user, hasSudoPassword }: Node, command: string): string =>
  asRoot({ user, openssh: { hasSudoPassword } }, command);

/** Of the operator's environment only what ssh and bash need: no passphrase of the stack, no token of a cloud. */
function environmentOf(node: Node, command: string): NodeJS.ProcessEnv {
  const passed = ["PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "LANG", "TERM", "SSH_AUTH_SOCK", "TZ"];
  return {
    ...Object.fromEntries(passed.map((name) => [name, process.env[name]])),
    ...operatorEnvironment("operator/connect.sh", {
      node: node.name,
      address: node.host,
      port: `${node.port}`,
      user: node.user,
      hostKey: node.hostKey,
      way: node.way,
      command,
      shell: "bash -s --",
    }),
  };
}

function start(node: Node, command: string, stdio: StdioOptions, more: NodeJS.ProcessEnv = {}, detached = true) {
  return spawn("bash", ["--norc", "-c", agentCommand(node.way !== undefined)], {
    env: { ...environmentOf(node, command), ...more },
    stdio,
    detached,
  });
}

/** The connections of this process, by the number of their group: ssh and its agent, too. */
const running = new Set<number>();
let isWatched = false;

/** Ends a connection together with this process, and returns what ends it before that. */
function watch(pid: number | undefined): () => void {
  if (pid === undefined) return () => undefined;
  const end = (group: number) => {
    try {
      process.kill(-group, "SIGKILL");
    } catch {
      // It has ended.
    }
  };
  running.add(pid);
  if (!isWatched) {
    isWatched = true;
    process.on("exit", () => running.forEach(end));
    // Without a handler, these end the process without that event.
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
    ] as const) {
      process.once(signal, () => process.exit(code));
    }
  }
  return () => end(pid);
}

/** Runs a command on a host. Resolves in any case. */
export function onHost(node: Node, { command, input = "", seconds, onData }: HostCommand): Promise<Ran> {
  const child = start(node, command, ["pipe", "pipe", "pipe"]);
  const stdout: Buffer[] = [];
  let stderr = "";
  let status: number | undefined;
  const end = watch(child.pid);
  const timer = setTimeout(() => {
    status = -1;
    stderr += `\nno end after ${seconds} s`;
    end();
  }, seconds * 1000);
  child.stdout!.on("data", onData ?? ((data: Buffer) => stdout.push(data)));
  child.stderr!.on("data", (data: Buffer) => (stderr += data.toString()));
  child.stdin!.on("error", () => undefined).end(node.login + input);
  return new Promise((resolve) => {
    const done = (code: number) => {
      clearTimeout(timer);
      running.delete(child.pid!);
      resolve({ status: status ?? code, stdout: Buffer.concat(stdout), stderr: stderr.trim() });
    };
    child.on("error", (error) => {
      stderr += error.message;
      done(255);
    });
    child.on("close", (code) => done(code ?? 255));
  });
}

/** Runs a command, or a login shell, with the operator's own stdin and terminal. Resolves to its exit status. */
export function session(node: Node, command: string): Promise<number> {
  // The agent's key comes by stdin, so the operator's own stdin is another descriptor.
  const child = start(
    node,
    command,
    ["pipe", "inherit", "inherit", "ignore", "ignore", 0],
    { TAILKUBE_SESSION: "1", TAILKUBE_TERMINAL: process.stdin.isTTY && process.stdout.isTTY ? "1" : "" },
    false,
  );
  child.stdin!.on("error", () => undefined).end(node.login);
  // Ctrl-C is for the host's command.
  const ignore = () => undefined;
  process.on("SIGINT", ignore);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      process.off("SIGINT", ignore);
      resolve(code ?? 255);
    });
  });
}

/** Why there was no answer, in one line. */
export function whyNoAnswer({ status, stderr }: Pick<Ran, "status" | "stderr">): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim().replace(/^tailkube: [a-z0-9-]+: /, ""))
    .filter((line) => line !== "" && !/^@+$|^Warning: Permanently|^[*]{2}/.test(line));
  if (/Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/.test(stderr)) {
    return /tailkube-via-/.test(stderr)
      ? "a jump host shows another host key than the config's"
      : "another machine answers: its host key is not the pinned one";
  }
  if (/no matching host key type/.test(stderr)) return "another machine answers: it has no host key of the pinned type";
  if (/Permission denied \(/.test(stderr)) return "it refuses the login: the SSH key is not accepted";
  if (/a password is required|a terminal is required|not in the sudoers|sudo: /.test(stderr)) {
    return `sudo fails: ${lines.at(-1) ?? ""}`;
  }
  if (status === -1) return lines.at(-1) ?? "no end in time";
  const last = lines.at(-1) ?? `ssh ended with ${status} and printed nothing`;
  return last.replace(/^ssh: (connect to host \S+ port \d+: )?/, "");
}
