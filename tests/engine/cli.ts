/** The Pulumi CLI that lab/pulumi has chosen, on programs and states of the tests' own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const root = resolve(__dirname, "../..");
export const passphrase = "correct horse";
const programs = resolve(__dirname, "programs");
const pulumi = join(root, "lab/pulumi/pulumi");

const folders: string[] = [];
process.on("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder that is removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "engine-test-"));
  folders.push(folder);
  return folder;
}

/** The program of the command provider's plugin: the one that TAILKUBE_COMMAND_PROVIDER names, or the chosen engine's. */
export function commandProvider(): string {
  const named = process.env.TAILKUBE_COMMAND_PROVIDER;
  if (named) return named;
  const choice = execFileSync(join(root, "lab/pulumi/choose"), ["--quiet"], { encoding: "utf8" });
  const home = /PULUMI_HOME=(.*)/.exec(choice)?.[1] ?? join(homedir(), ".pulumi");
  return join(home, "plugins/resource-command-v1.2.1/pulumi-resource-command");
}

export interface Finished {
  code: number | null;
  /** Both outputs, as they came. */
  output: string;
  stdout: string;
}

export interface Resource {
  urn: string;
  type: string;
  id?: string;
  external?: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  dependencies?: string[];
}

interface Deployment {
  deployment: {
    resources?: Resource[];
    pending_operations?: { type: string; resource: Resource }[];
    secrets_providers?: { type: string };
  };
}

export interface StackOptions {
  /** A folder below programs/, or the absolute path of a project. */
  program: string;
  /** The project's name. */
  project: string;
  /** The stack's config by full keys. */
  config?: Record<string, unknown>;
}

/** A stack of a program, with a backend of its own. */
export class Stack {
  readonly folder = temporaryFolder();
  readonly configFile = join(this.folder, "project/Pulumi.test.yaml");
  private readonly program: string;

  private constructor(private readonly options: StackOptions) {
    this.program = resolve(programs, options.program);
  }

  static async create(options: StackOptions): Promise<Stack> {
    const stack = new Stack(options);
    mkdirSync(join(stack.folder, "project"));
    mkdirSync(join(stack.folder, "backend"));
    // The CLI writes the salt of the secrets' encryption beside the project's file: not into the tests' own programs.
    writeFileSync(join(stack.folder, "project/Pulumi.yaml"), `name: ${options.project}\nruntime: nodejs\n`);
    const made = await stack.start([
      "stack",
      "init",
      "test",
      "--non-interactive",
      "--cwd",
      join(stack.folder, "project"),
    ]).finished;
    if (made.code !== 0) throw new Error(made.output);
    if (options.config) appendFileSync(stack.configFile, `config: ${JSON.stringify(options.config)}\n`);
    return stack;
  }

  /** Sets a secret of the stack's config. */
  async setSecret(key: string, value: string): Promise<void> {
    const project = ["--stack", "test", "--cwd", join(this.folder, "project"), "--non-interactive"];
    const set = await this.start(["config", "set", "--secret", ...project, "--", key, value]).finished;
    if (set.code !== 0) throw new Error(set.output);
  }

  /** A run of `up`, `preview`, `refresh` or `destroy`. */
  run(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
    return this.begin(args, environment).finished;
  }

  begin([verb, ...args]: readonly string[], environment: Record<string, string> = {}): CliRun {
    const [preview, ...common] = ["--skip-preview", "--yes", "--config-file", this.configFile, "--stack", "test"];
    const options = verb === "preview" ? common.slice(1) : [preview, ...common];
    const quiet = ["--non-interactive", "--color", "never"];
    return this.start([verb!, ...options, ...quiet, "--cwd", this.program, ...args], environment);
  }

  /** A command that needs no program. */
  start(args: readonly string[], environment: Record<string, string> = {}): CliRun {
    return new CliRun(args, {
      PULUMI_BACKEND_URL: `file://${join(this.folder, "backend")}`,
      PULUMI_CONFIG_PASSPHRASE: passphrase,
      ...environment,
    });
  }

  /** All outputs, secrets in clear. */
  async outputs(): Promise<Record<string, unknown>> {
    const args = ["stack", "output", "--json", "--show-secrets", "--stack", "test"];
    const { code, stdout, output } = await this.start([...args, "--cwd", join(this.folder, "project")]).finished;
    if (code !== 0) throw new Error(output);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  get stateFile(): string {
    return join(this.folder, `backend/.pulumi/stacks/${this.options.project}/test.json`);
  }

  /** What the backend has. */
  get deployment(): Deployment["deployment"] {
    const { checkpoint } = JSON.parse(readFileSync(this.stateFile, "utf8")) as {
      checkpoint: { latest?: Deployment["deployment"] };
    };
    return checkpoint.latest ?? {};
  }

  find(name: string): Resource | undefined {
    return this.deployment.resources?.find(({ urn }) => urn.endsWith(`::${name}`));
  }

  /** Takes the lock away that a killed run leaves, as `pulumi cancel` does. */
  unlock(): void {
    rmSync(join(this.folder, "backend/.pulumi/locks"), { recursive: true, force: true });
  }
}

/** A run of the CLI, a leader of a session of its own. */
export class CliRun {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  output = "";

  constructor(args: readonly string[], environment: Record<string, string>) {
    this.child = spawn(pulumi, args, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let stdout = "";
    this.child.stdout!.setEncoding("utf8").on("data", (chunk: string) => ((this.output += chunk), (stdout += chunk)));
    this.child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (this.output += chunk));
    this.finished = new Promise((done) =>
      this.child.on("close", (code) => done({ code, output: this.output, stdout })),
    );
  }
}

export async function until(condition: () => boolean, what: string, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
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

  /** The lines since the last call. */
  take(): string[] {
    const lines = existsSync(this.file) ? readFileSync(this.file, "utf8").split("\n").filter(Boolean) : [];
    rmSync(this.file, { force: true });
    return lines;
  }
}
