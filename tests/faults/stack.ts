/** Stacks that differ from the lab's own, and runs of the engine whose output is looked at. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { isValues } from "../../model/merge";
import * as lab from "../lab/lab";
import { killSession } from "../lab/processes";

export interface StackNode {
  name: string;
  role: string;
  host: Record<string, unknown>;
  labels?: Record<string, string>;
}

interface Stack {
  config: Record<string, unknown>;
}

/** The lab's own stack, with where its hosts install from. */
export const ownStack = () =>
  parse(execFileSync("lab/sources", ["config"], { cwd: lab.root, encoding: "utf8" })) as Stack;

/** The nodes of the lab's own stack. */
export function ownNodes(): StackNode[] {
  const { config } = parse(readFileSync(join(lab.root, "Pulumi.dev.yaml"), "utf8")) as Stack;
  return config["tailkube:nodes"] as StackNode[];
}

/**
 * Makes every further run of the engine use the lab's stack with these changes; keys without the project's name. Of a group, what
 * is not named stays.
 */
export function useStack(changes: Record<string, unknown>): void {
  const stack = ownStack();
  for (const [key, value] of Object.entries(changes)) {
    const own = stack.config[`tailkube:${key}`];
    stack.config[`tailkube:${key}`] = isValues(own) && isValues(value) ? { ...own, ...value } : value;
  }
  const folder = join(lab.state, "faults");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "Pulumi.dev.yaml");
  writeFileSync(file, stringify(stack));
  process.env.LAB_STACK_CONFIG = file;
}

/** Back to the lab's own stack. */
export function useOwnStack(): void {
  delete process.env.LAB_STACK_CONFIG;
}

export interface EngineRun {
  code: number | null;
  /** What it printed, on one line: engines wrap long messages each in their own way. */
  text: string;
  seconds: number;
}

/** A run of the engine with its output on the terminal and in the result. It is killed after the bound, in seconds. */
export const engine = (args: readonly string[], seconds: number) => engineBy("lab/engine", args, seconds);

/** The same, by a command that starts the engine. */
export async function engineBy(command: string, args: readonly string[], seconds: number): Promise<EngineRun> {
  const begin = Date.now();
  const run = lab.start(command, args);
  const timer = setTimeout(() => killSession(run.child.pid!), seconds * 1000);
  const [how] = await Promise.all([run.exit, run.closed]).finally(() => clearTimeout(timer));
  return {
    code: typeof how === "number" ? how : null,
    text: run.text().replace(/\s+/g, " "),
    seconds: (Date.now() - begin) / 1000,
  };
}

/** A run that has to end well. Resolves to the seconds it took. */
export async function engineOk(args: readonly string[], seconds: number): Promise<number> {
  const run = await engine(args, seconds);
  if (run.code !== 0) {
    const [, why = run.text] = /Diagnostics: (.*?)(?: Outputs: | Resources: |$)/.exec(run.text) ?? [];
    throw new Error(`engine ${args.join(" ")} ended with ${run.code}: ${why.slice(-3000)}`);
  }
  return run.seconds;
}

/** Writes the administrator's kubeconfig anew: another control plane may be the first one now. */
export function refreshKubeconfig(): void {
  writeFileSync(join(lab.state, "kubeconfig"), lab.output("lab/engine", ["output", "directKubeconfig"]), {
    mode: 0o600,
  });
}
