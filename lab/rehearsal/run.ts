/** What commands have in common: a stack that is opened, locked and given back. */
import { join } from "path";
import { Config, loadProject, loadStackFile, Project, resolveConfig } from "./config";
import { Display } from "./display";
import type { Executor } from "./executor";
import { sdkVersion } from "./rpc/protocol";
import { Lock } from "./state/lock";
import { Crypter, passphraseFromEnvironment } from "./state/passphrase";
import { StackState, StateStore } from "./state/store";
import { urnName } from "./urn";

/** What Pulumi calls the organization of a stack without a cloud. */
export const ORGANIZATION = "organization";
/** How long running steps may go on after an interrupt, and then after they were told to end, in ms. */
const FINISH_WITHIN = 10_000;
const ABORT_WITHIN = 8_000;

export interface RunOptions {
  /** The project's folder, or one in it. */
  directory: string;
  stack: string;
  stateDirectory: string;
  configFile: string | undefined;
  parallel: number;
  debug: boolean;
  write: (line: string) => void;
}

export interface Stack {
  project: Project;
  store: StateStore;
  state: StackState;
}

export function lockOf(options: Pick<RunOptions, "stateDirectory" | "stack">): Lock {
  return new Lock(join(options.stateDirectory, `${options.stack}.lock`));
}

/** Reads the project and the stack's state. */
export async function openStack(options: RunOptions): Promise<Stack> {
  const project = loadProject(options.directory);
  const file = loadStackFile(project, options.stack, options.configFile);
  const store = new StateStore(StateStore.path(options.stateDirectory, options.stack), file.encryptionSalt, sdkVersion);
  return { project, store, state: await store.read() };
}

/** Reads the stack's config, decrypted. */
export async function openConfig(options: RunOptions, project: Project): Promise<Config> {
  const file = loadStackFile(project, options.stack, options.configFile);
  const salt = file.encryptionSalt;
  return resolveConfig(project, file, salt ? await Crypter.open(await passphraseFromEnvironment(), salt) : undefined);
}

/** Says what the last run left unfinished. */
export function reportInterrupted(state: StackState, display: Display, consequence: string): void {
  if (state.pendingOperations.length === 0) return;
  const operations = state.pendingOperations.map(({ type, resource }) => `${type} ${urnName(resource.urn)}`);
  display.warning(`the last run was interrupted while it was ${operations.join(", ")}; ${consequence}`);
}

/**
 * Ends a run on SIGINT or SIGTERM: first nothing new begins and what runs may finish for a while, then (or on a second
 * signal) it is aborted, at last the process ends. What was running stays recorded in the state.
 * @returns a function that takes the handlers back
 */
export function handleSignals(executor: Executor, display: Display, wasInterrupted: () => void): () => void {
  const timers: NodeJS.Timeout[] = [];
  let signals = 0;
  const abort = (): void => {
    display.line("Aborting what still runs.");
    executor.abort();
    timers.push(setTimeout(() => process.exit(130), ABORT_WITHIN));
  };
  const handler = (): void => {
    signals++;
    wasInterrupted();
    if (signals === 1) {
      const wait = FINISH_WITHIN / 1000;
      display.line(`Interrupted: nothing new begins; what runs may finish for ${wait} s (again: abort it now).`);
      executor.stop();
      timers.push(setTimeout(abort, FINISH_WITHIN));
    } else if (signals === 2) abort();
    else process.exit(130);
  };
  process.on("SIGINT", handler).on("SIGTERM", handler);
  return () => {
    process.off("SIGINT", handler).off("SIGTERM", handler);
    timers.forEach(clearTimeout);
  };
}
