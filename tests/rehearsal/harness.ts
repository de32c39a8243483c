/** What the tests of the rehearsal engine share. */
import { ChildProcess, spawn } from "child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "fs";
import { tmpdir } from "os";
import { join, resolve } from "path";
import { Deployment } from "../../lab/rehearsal/deployment";
import { Display } from "../../lab/rehearsal/display";
import { Executor, Terminated } from "../../lab/rehearsal/executor";
import type { Goal } from "../../lab/rehearsal/goal";
import type { Engine } from "../../lab/rehearsal/session";
import { Snapshot } from "../../lab/rehearsal/snapshot";
import { STACK_REFERENCE_TYPE } from "../../lab/rehearsal/stackReference";
import type { ResourceState } from "../../lab/rehearsal/state/deployment";
import type { StackState, StateStore } from "../../lab/rehearsal/state/store";
import { deleteUnwanted } from "../../lab/rehearsal/update";
import { makeUrn, STACK_TYPE } from "../../lab/rehearsal/urn";
import type { Props } from "../../lab/rehearsal/values";

export const PASSPHRASE = "correct horse";
/** The folder of the test programs. */
export const PROGRAMS = resolve(__dirname, "programs");
const REHEARSE = resolve(__dirname, "../../lab/rehearsal/rehearse");

const folders: string[] = [];
process.on("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder that is removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rehearsal-test-"));
  folders.push(folder);
  return folder;
}

export interface Finished {
  code: number | null;
  output: string;
}

/** A run of the command line. */
export class CliRun {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  output = "";

  constructor(program: string, stateFolder: string, args: string[], environment: Record<string, string> = {}) {
    this.child = spawn(REHEARSE, ["-C", join(PROGRAMS, program), "--state", stateFolder, "--stack", "test", ...args], {
      env: { ...process.env, PULUMI_CONFIG_PASSPHRASE: PASSPHRASE, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.output += chunk));
    }
    this.finished = new Promise((done) => this.child.on("close", (code) => done({ code, output: this.output })));
  }
}

/** Runs the command line to its end. */
export function cli(
  program: string,
  stateFolder: string,
  args: string[],
  environment: Record<string, string> = {},
): Promise<Finished> {
  return new CliRun(program, stateFolder, args, environment).finished;
}

export async function until(condition: () => boolean, what: string, within = 15_000): Promise<void> {
  const deadline = Date.now() + within;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** What commands of a test did, in order: they append a line each to a file. */
export class Journal {
  readonly file = join(temporaryFolder(), "journal");

  /** A shell command that records the word. */
  note(word: string): string {
    return `echo '${word}' >> '${this.file}'`;
  }

  add(word: string): void {
    appendFileSync(this.file, `${word}\n`);
  }

  /** The lines since the last call. */
  take(): string[] {
    const lines = existsSync(this.file) ? readFileSync(this.file, "utf8").split("\n").filter(Boolean) : [];
    rmSync(this.file, { force: true });
    return lines;
  }
}

export const STACK = "test";
export const PROJECT = "project";
export const STACK_URN = makeUrn(STACK, PROJECT, "", STACK_TYPE, `${PROJECT}-${STACK}`);

export function commandUrn(name: string): string {
  return makeUrn(STACK, PROJECT, STACK_URN, "command:local:Command", name);
}

/** A goal as the SDK would send it. */
export function goal(type: string, name: string, inputs: Props, options: Partial<Goal> = {}): Goal {
  return {
    type,
    name,
    custom: true,
    parent: STACK_URN,
    inputs,
    protect: undefined,
    retainOnDelete: undefined,
    deletedWith: "",
    provider: "",
    version: "1.2.1",
    dependencies: [],
    propertyDependencies: {},
    deleteBeforeReplace: undefined,
    ignoreChanges: [],
    replaceOnChanges: type.startsWith("command:") ? ["triggers[*]"] : [],
    additionalSecretOutputs: [],
    aliases: [],
    ...options,
  };
}

export function component(name: string, options: Partial<Goal> = {}): Goal {
  return goal("test:index:Component", name, {}, { custom: false, version: "", ...options });
}

/** What a program can do besides. */
export interface Requests {
  /** Reads a resource of an ID, a reference to a stack if it is of no other type. */
  read: (name: string, id: string, type?: string) => Promise<ResourceState>;
  /** Sets the stack's outputs. */
  export: (outputs: Props) => void;
}

/** What a program does: register goals one after the other or at once. */
export type Registrations = (register: (goal: Goal) => Promise<ResourceState>, requests: Requests) => Promise<unknown>;

export interface RehearsalResult {
  ok: boolean;
  /** Everything that was said. */
  output: string;
  counts: Display["counts"];
}

/** A stack without a program: registrations come from the test, the state is kept in memory. */
export class Rehearsal {
  state: StackState = { resources: [], pendingOperations: [] };
  /** How often the state was written. */
  writes = 0;

  async up(registrations: Registrations, dryRun = false, parallel = 16): Promise<RehearsalResult> {
    const engine = this.open(dryRun, parallel);
    const { executor, display, deployment } = engine;
    const register = (wanted: Goal): Promise<ResourceState> => deployment.register(wanted);
    try {
      const root = goal(STACK_TYPE, `${PROJECT}-${STACK}`, {}, { custom: false, parent: "", version: "" });
      await register(root);
      await registrations(register, {
        read: (name, id, type = STACK_REFERENCE_TYPE) =>
          deployment.read({ id, goal: { ...goal(type, name, { name: id }), version: "", protect: false } }),
        export: (outputs) => deployment.registerOutputs(STACK_URN, outputs),
      });
    } catch (error) {
      if (!(error instanceof Terminated)) display.error((error as Error).message);
      executor.stop();
    }
    await executor.idle();
    return this.finish(engine);
  }

  destroy(): Promise<RehearsalResult> {
    return this.finish(this.open(false, 16));
  }

  find(name: string): ResourceState | undefined {
    return this.state.resources.find((resource) => resource.urn.endsWith(`::${name}`) && !resource.delete);
  }

  private async finish(engine: Engine & { output: string[] }): Promise<RehearsalResult> {
    const { executor, display, snapshot, deployment, output } = engine;
    if (!executor.isStopped) await deleteUnwanted(engine);
    deployment.finishStackOutputs(executor.isStopped);
    await snapshot.flush();
    display.close();
    return { ok: !executor.isStopped, output: output.join("\n"), counts: display.counts };
  }

  private open(dryRun: boolean, parallel: number): Engine & { output: string[] } {
    const output: string[] = [];
    const display = new Display((line) => output.push(line));
    const executor = new Executor(parallel, display);
    const store = {
      write: async (state: StackState) => {
        this.writes++;
        this.state = structuredClone(state);
      },
    } as StateStore;
    const { resources, pendingOperations } = structuredClone(this.state);
    const snapshot = new Snapshot(resources, dryRun ? undefined : store, pendingOperations.length > 0);
    const options = { stack: STACK, project: PROJECT, dryRun, config: { values: {}, secretKeys: [] } };
    return { snapshot, executor, display, output, deployment: new Deployment(options, snapshot, executor, display) };
  }
}
