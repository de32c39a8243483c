/** The command line of the rehearsal engine. */
import { writeFileSync } from "fs";
import { resolve } from "path";
import { parseArgs } from "util";
import { loadProject } from "./config";
import { destroy } from "./destroy";
import { asText, stackOutputs, visible } from "./outputs";
import { lockOf, openStack, RunOptions } from "./run";
import { isAlive } from "./state/lock";
import { sdkVersion } from "./rpc/protocol";
import type { UpdateResult } from "./session";
import { exposeResource } from "./state/seal";
import { StateStore } from "./state/store";
import { preview, up } from "./update";

const USAGE = `usage: rehearse [-C DIR] COMMAND [OPTIONS]

  up       [--yes] [--skip-preview] [--expect-no-changes]   preview, then create, update and delete resources
  preview  [--expect-no-changes]                            show what up would do
  destroy  [--yes] [--skip-preview]                         delete all resources
  refresh  [--yes]                                          nothing: the rehearsal does not read resources again
  cancel                                                    stop a run that goes on, or remove its stale lock
  stack export [--file FILE] [--show-secrets]               the state, for \`pulumi stack import\`
  stack output [NAME] [--json] [--show-secrets]             the stack's outputs

  -C, --cwd DIR        the project's folder (default: the current one, or the nearest above it with a Pulumi.yaml)
  -s, --stack NAME     the stack (default: dev)
      --state DIR      where states are kept (default: lab/.state/rehearsal)
      --config-file F  the stack's config file (default: Pulumi.<stack>.yaml)
  -p, --parallel N     how many steps run at once (default: 16)
      --debug          show the program's debug messages
`;
const BANNER = "This is a rehearsal of the Pulumi engine, for the lab: no product. With the Pulumi CLI, use that.";
const DEFAULT_STATE = resolve(__dirname, "../.state/rehearsal");

/** A command line that is wrong. */
class UsageError extends Error {}

const OPTIONS = {
  cwd: { type: "string", short: "C", default: "." },
  stack: { type: "string", short: "s", default: "dev" },
  state: { type: "string", default: DEFAULT_STATE },
  "config-file": { type: "string" },
  parallel: { type: "string", short: "p", default: "16" },
  debug: { type: "boolean", default: false },
  yes: { type: "boolean", short: "y", default: false },
  "skip-preview": { type: "boolean", short: "f", default: false },
  "expect-no-changes": { type: "boolean", default: false },
  file: { type: "string" },
  "show-secrets": { type: "boolean", default: false },
  json: { type: "boolean", short: "j", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>["values"];

async function main(): Promise<number> {
  const { values: flags, positionals } = parse();
  const [command, ...rest] = positionals;
  if (flags.help || !command) {
    process.stdout.write(USAGE);
    return flags.help ? 0 : 2;
  }
  const options = runOptions(flags);
  if (command === "stack") return stackCommand(options, flags, rest);
  if (rest.length > 0) throw new UsageError(`"${command}" takes no arguments (got "${rest.join(" ")}")`);
  if (["up", "preview", "destroy"].includes(command)) enterProject(options);
  switch (command) {
    case "up":
      options.write(BANNER);
      return upCommand(options, flags);
    case "preview":
      options.write(BANNER);
      return exitCode(await preview(options), flags["expect-no-changes"]);
    case "destroy":
      options.write(BANNER);
      return destroyCommand(options, flags);
    case "refresh":
      options.write(BANNER);
      options.write("Nothing is refreshed: the rehearsal believes its state. `up` compares it with the program.");
      return 0;
    case "cancel":
      return cancelCommand(options);
    default:
      throw new UsageError(`unknown command "${command}"`);
  }
}

function parse(): { values: Flags; positionals: string[] } {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function runOptions(flags: Flags): RunOptions {
  const parallel = Number(flags.parallel);
  if (!Number.isInteger(parallel) || parallel < 1) throw new UsageError("--parallel has to be a whole number ≥ 1");
  if (!/^[A-Za-z0-9_.-]+$/.test(flags.stack)) throw new UsageError(`"${flags.stack}" is no name for a stack`);
  return {
    directory: resolve(flags.cwd),
    stack: flags.stack,
    stateDirectory: resolve(flags.state),
    configFile: flags["config-file"] === undefined ? undefined : resolve(flags["config-file"]),
    parallel,
    debug: flags.debug,
    write: (line) => process.stdout.write(`${line}\n`),
  };
}

/** Providers run in the program's folder, as Pulumi's do: that is what relative paths of commands are relative to. */
function enterProject(options: RunOptions): void {
  const passphrase = process.env.PULUMI_CONFIG_PASSPHRASE_FILE;
  if (passphrase) process.env.PULUMI_CONFIG_PASSPHRASE_FILE = resolve(passphrase);
  process.chdir(loadProject(options.directory).directory);
}

async function upCommand(options: RunOptions, flags: Flags): Promise<number> {
  if (!flags["skip-preview"]) {
    const planned = await preview(options);
    if (!planned.ok) return exitCode(planned, false);
    if (flags["expect-no-changes"] && planned.changes > 0) return exitCode(planned, true);
    if (!(await agreed(flags, "Perform this update?"))) return 1;
    options.write("");
  }
  return exitCode(await up(options), flags["expect-no-changes"]);
}

async function destroyCommand(options: RunOptions, flags: Flags): Promise<number> {
  if (!flags["skip-preview"] && !flags.yes) {
    const planned = await destroy(options, true);
    if (!planned.ok) return exitCode(planned, false);
  }
  if (!(await agreed(flags, "Destroy all of this?"))) return 1;
  return exitCode(await destroy(options, false), false);
}

async function agreed(flags: Flags, question: string): Promise<boolean> {
  if (flags.yes) return true;
  if (!process.stdin.isTTY) throw new UsageError("--yes is needed where nobody can be asked");
  process.stdout.write(`${question} [y/N] `);
  const answer = await new Promise<string>((done) => process.stdin.once("data", (data) => done(data.toString())));
  process.stdin.pause();
  return /^y(es)?\s*$/i.test(answer);
}

function exitCode(result: UpdateResult, expectNoChanges: boolean): number {
  if (result.interrupted) return 130;
  if (!result.ok) return 1;
  if (expectNoChanges && result.changes > 0) {
    process.stderr.write(`error: no changes were expected, but there are ${result.changes}\n`);
    return 1;
  }
  return 0;
}

async function stackCommand(options: RunOptions, flags: Flags, rest: string[]): Promise<number> {
  const [command, ...names] = rest;
  if (command === "export" && names.length === 0) return exportCommand(options, flags);
  if (command === "output" && names.length <= 1) return outputCommand(options, flags, names[0]);
  throw new UsageError(`unknown command "stack ${rest.join(" ")}"`);
}

async function exportCommand(options: RunOptions, flags: Flags): Promise<number> {
  const path = StateStore.path(options.stateDirectory, options.stack);
  const document = await new StateStore(path, undefined, sdkVersion).readSealed();
  if (!document) throw new Error(`stack ${options.stack} has no state in ${options.stateDirectory}`);
  if (flags["show-secrets"]) {
    document.deployment.resources = (await openStack(options)).state.resources.map(exposeResource);
  }
  const text = `${JSON.stringify(document, undefined, 4)}\n`;
  if (flags.file) writeFileSync(flags.file, text, { mode: 0o600 });
  else process.stdout.write(text);
  return 0;
}

async function outputCommand(options: RunOptions, flags: Flags, name: string | undefined): Promise<number> {
  const { state } = await openStack(options);
  const outputs = visible(stackOutputs(state.resources), flags["show-secrets"]);
  if (name === undefined) {
    if (flags.json) process.stdout.write(`${JSON.stringify(outputs, undefined, 2)}\n`);
    else for (const [key, value] of Object.entries(outputs)) process.stdout.write(`${key}: ${asText(value)}\n`);
    return 0;
  }
  const value = outputs[name];
  if (value === undefined) throw new Error(`stack ${options.stack} has no output "${name}"`);
  process.stdout.write(`${flags.json ? JSON.stringify(value) : asText(value)}\n`);
  return 0;
}

function cancelCommand(options: RunOptions): number {
  const lock = lockOf(options);
  const holder = lock.holder();
  if (!holder) {
    options.write("Nothing runs on this stack.");
  } else if (isAlive(holder)) {
    process.kill(holder.pid, "SIGINT");
    options.write(`Asked process ${holder.pid} (${holder.command}) to stop.`);
  } else {
    lock.remove();
    options.write(`Removed the lock of process ${holder.pid} (${holder.command}), which is gone.`);
  }
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`error: ${error.message}\n`);
    if (error instanceof UsageError) process.stderr.write(`\n${USAGE}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
