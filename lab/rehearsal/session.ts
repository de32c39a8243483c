/** One run on an opened stack: the parts of the engine, put together. */
import type { Config } from "./config";
import { Deployment } from "./deployment";
import { Display } from "./display";
import { Executor } from "./executor";
import { handleSignals, RunOptions, Stack } from "./run";
import { Snapshot } from "./snapshot";

export interface UpdateResult {
  ok: boolean;
  interrupted: boolean;
  /** How many resources were or would be created, updated, replaced or deleted. */
  changes: number;
}

/** The parts that work together. */
export interface Engine {
  readonly display: Display;
  readonly executor: Executor;
  readonly snapshot: Snapshot;
  readonly deployment: Deployment;
}

export class Session implements Engine {
  readonly display: Display;
  readonly executor: Executor;
  readonly snapshot: Snapshot;
  readonly deployment: Deployment;
  private interrupted = false;

  /** @param dryRun nothing is done, nothing is written */
  constructor(
    readonly options: RunOptions,
    readonly stack: Stack,
    readonly config: Config,
    readonly dryRun: boolean,
  ) {
    const { project, state, store } = stack;
    this.display = new Display(options.write, options.debug);
    this.executor = new Executor(options.parallel, this.display);
    const isUnfinished = state.pendingOperations.length > 0;
    this.snapshot = new Snapshot(state.resources, dryRun ? undefined : store, isUnfinished);
    const deploymentOptions = { stack: options.stack, project: project.name, dryRun, config };
    this.deployment = new Deployment(deploymentOptions, this.snapshot, this.executor, this.display);
  }

  /** Does the work, sums it up; a signal ends it early. */
  async run(work: () => Promise<void>): Promise<UpdateResult> {
    const restoreSignals = handleSignals(this.executor, this.display, () => (this.interrupted = true));
    try {
      await work();
      await this.executor.idle();
      await this.snapshot.flush();
      const failed = this.executor.isStopped;
      this.display.summary(this.dryRun ? "planned" : "done", failed);
      const { create, update, replace, delete: deleted } = this.display.counts;
      return { ok: !failed, interrupted: this.interrupted, changes: create + update + replace + deleted };
    } finally {
      restoreSignals();
      this.display.close();
    }
  }
}
