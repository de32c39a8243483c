/** `command:local:Command`: commands on this machine. */
import { spawn } from "child_process";
import type { Props } from "../values";
import { Command, CommandResult, CommandRun } from "./command";
import { readString, readStrings } from "./inputs";

const DEFAULT_INTERPRETER = ["/bin/sh", "-c"];
/** How long an aborted command may take to end by itself, in ms. */
const GRACE = 3_000;

export class LocalCommand extends Command {
  protected readonly ownInputs = ["interpreter", "dir"];

  override check(inputs: Props, olds: Props | undefined, name: string): Props {
    const result = super.check(inputs, olds, name);
    readStrings(result, "interpreter");
    readString(result, "dir");
    return result;
  }

  protected run(inputs: Props, run: CommandRun): Promise<CommandResult> {
    const interpreter = readStrings(inputs, "interpreter") ?? [];
    const [program, ...args] = [...(interpreter.length > 0 ? interpreter : DEFAULT_INTERPRETER), run.command];
    return runProcess(program!, args, { ...run, directory: readString(inputs, "dir") });
  }
}

export interface ProcessRun extends Omit<CommandRun, "command"> {
  /** Undefined: that of this process. */
  directory?: string | undefined;
  /** Open files that the program gets as 3, 4, … */
  fds?: number[];
}

/** Runs a program in a process group of its own, which is ended as a whole when the run is aborted. */
export function runProcess(program: string, args: string[], run: ProcessRun): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: run.directory,
      env: { ...process.env, ...run.environment },
      detached: true,
      stdio: ["pipe", "pipe", "pipe", ...(run.fds ?? [])],
    });
    let stdout = "";
    let stderr = "";
    let killer: NodeJS.Timeout | undefined;
    const kill = (signal: NodeJS.Signals): void => {
      try {
        process.kill(-child.pid!, signal);
      } catch {
        // It has ended by itself.
      }
    };
    const abort = (): void => {
      if (child.pid === undefined) return;
      kill("SIGTERM");
      killer = setTimeout(() => kill("SIGKILL"), GRACE);
    };
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      run.onStdout(chunk);
    });
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
      run.onStderr(chunk);
    });
    // A command that does not read its standard input closes it: that is no error.
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(run.stdin);
    const settle = (): void => {
      clearTimeout(killer);
      run.signal.removeEventListener("abort", abort);
    };
    child.on("error", (error) => {
      settle();
      reject(new Error(`cannot run ${program}: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      settle();
      resolve({ code, signal: signal ?? undefined, stdout, stderr });
    });
    run.signal.addEventListener("abort", abort);
    if (run.signal.aborted) abort();
  });
}
