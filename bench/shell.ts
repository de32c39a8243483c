/** Commands of the project, with their output in a log and a word of progress on the terminal. */
import { execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, state } from "../tests/lab/lab";
import { killSession } from "../tests/lab/processes";

/** Everything that the bench keeps while it runs. */
export const scratch = join(state, "bench");

const began = Date.now();

/** A line that a person can follow, with the time since the start. */
export function say(line: string): void {
  const seconds = Math.round((Date.now() - began) / 1000);
  console.log(`${String(Math.floor(seconds / 60)).padStart(4)}:${String(seconds % 60).padStart(2, "0")}  ${line}`);
}

/** A number of seconds for a progress line. */
export const inSeconds = (seconds: number) => `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;

export interface CommandOptions {
  /** Bound on the command and all that it starts. */
  seconds: number;
  /** Name of its log; the former one of that name is overwritten. */
  log: string;
  environment?: Readonly<Record<string, string>>;
}

/** Runs a command from the project's root. Rejects with the end of its log if it fails or outlasts its bound. */
export function command(words: readonly [string, ...string[]], options: CommandOptions): Promise<void> {
  mkdirSync(scratch, { recursive: true });
  const path = join(scratch, `${options.log}.log`);
  const log = openSync(path, "w", 0o600);
  const [program, ...args] = words;
  return new Promise<void>((resolve, reject) => {
    const child = spawn(program.includes("/") ? join(root, program) : program, args, {
      cwd: root,
      env: { ...process.env, ...options.environment },
      stdio: ["ignore", log, log],
      // A group of its own, so that the bound and an interrupt end all of it.
      detached: true,
    });
    const end = (signal: NodeJS.Signals) => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
    };
    let ended: string | undefined;
    const interrupt = (signal: NodeJS.Signals) => {
      ended = "was interrupted";
      end(signal);
    };
    process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
    const timer = setTimeout(() => {
      ended = `did not end within ${options.seconds} s`;
      if (child.pid !== undefined) killSession(child.pid);
    }, options.seconds * 1000);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      process.removeListener("SIGINT", interrupt).removeListener("SIGTERM", interrupt);
      if (code === 0 && ended === undefined) return resolve();
      const why = ended ?? `ended with ${code ?? signal}`;
      reject(new Error(`${words.join(" ")} ${why}; ${path} ends:\n${tail(path)}`));
    });
  }).finally(() => closeSync(log));
}

/** What a command prints on its standard output. Rejects with its errors if it fails or outlasts the bound (seconds). */
export function capture(words: readonly [string, ...string[]], seconds: number, input = ""): Promise<string> {
  const [program, ...args] = words;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program.includes("/") ? join(root, program) : program,
      args,
      { cwd: root, timeout: seconds * 1000, killSignal: "SIGKILL", maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${words.slice(0, 6).join(" ")}: ${stderr.trim() || error.message}`));
      },
    );
    child.stdin!.end(input);
  });
}

function tail(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-15).join("\n");
}
