/** Runs a Pulumi program as Pulumi's Node.js language host does. */
import { ChildProcess, spawn } from "child_process";
import { createRequire } from "module";
import { join } from "path";
import type { Config, Project } from "./config";
import { OutputLines } from "./providers/outputLines";

/** The program's own errors were shown already, by its runtime. */
const EXIT_AFTER_LOGGED_ERROR = 32;
/** How long a program may take to end when it is asked to, in ms. */
const GRACE = 5_000;

export interface ProgramOptions {
  project: Project;
  stack: string;
  organization: string;
  config: Config;
  /** Of the server of both services. */
  address: string;
  parallel: number;
  dryRun: boolean;
  /** A line that the program prints. */
  print(line: string): void;
}

export class Program {
  /** Undefined when it went well, else what went wrong. Empty: the program said it itself. */
  readonly ended: Promise<string | undefined>;
  private readonly child: ChildProcess;

  constructor(options: ProgramOptions) {
    const { project } = options;
    const runner = createRequire(join(project.root, "package.json")).resolve("@pulumi/pulumi/cmd/run");
    const args = [
      ...project.nodeargs,
      runner,
      ...["--monitor", options.address, "--engine", options.address],
      ...["--organization", options.organization, "--project", project.name],
      ...["--root-directory", project.root, "--stack", options.stack, "--pwd", project.directory],
      ...(options.dryRun ? ["--dry-run"] : []),
      ...["--parallel", String(options.parallel), project.entryPoint],
    ];
    this.child = spawn(process.execPath, args, {
      cwd: project.directory,
      env: { ...process.env, ...environment(project, options.config) },
      // Not in this process's group: an interrupt from the terminal is for the engine, which ends the program.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      const lines = new OutputLines(options.print);
      stream.setEncoding("utf8").on("data", (chunk: string) => lines.add(chunk));
      stream.on("end", () => lines.end());
    }
    this.ended = new Promise((resolve) => {
      this.child.on("error", (error) => resolve(`cannot start the program: ${error.message}`));
      this.child.on("close", (code, signal) => resolve(describeEnd(code, signal)));
    });
  }

  /** Gives the program a moment to end by itself, then ends it. */
  async stop(): Promise<void> {
    const timers = [
      setTimeout(() => this.child.kill("SIGTERM"), GRACE / 2),
      setTimeout(() => this.child.kill("SIGKILL"), GRACE),
    ];
    await this.ended;
    timers.forEach(clearTimeout);
  }
}

function environment(project: Project, config: Config): Record<string, string> {
  const values = Object.entries(config.values).map(([key, value]) => [key.replace(":", ":config:"), value]);
  return {
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(values)),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
    ...(project.typescript && { PULUMI_NODEJS_TYPESCRIPT: "true" }),
    ...(project.tsconfig && { PULUMI_NODEJS_TSCONFIG_PATH: project.tsconfig }),
  };
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (code === 0) return undefined;
  if (code === EXIT_AFTER_LOGGED_ERROR) return "";
  return signal ? `the program was killed (${signal})` : `the program ended with exit code ${code}`;
}
