/** Runs steps, so many at once as allowed, until one fails or the run is to stop. */
import type { Display } from "./display";
import { Redactor } from "./redact";
import type { OperationContext } from "./providers/provider";

/** What a step does, as its line says it. */
export type StepOperation = "create" | "update" | "replace" | "delete";

export interface Step {
  operation: StepOperation;
  urn: string;
  name: string;
  /** What is hidden in the step's output and errors. */
  redactor: Redactor;
  /** Added to the step's line. */
  note?: string;
}

/** The run ends: nothing new begins. */
export class Terminated extends Error {
  constructor() {
    super("resource monitor shut down");
  }
}

export class Executor {
  private running = 0;
  private readonly waiting: (() => void)[] = [];
  private idleWaiters: (() => void)[] = [];
  private readonly abortion = new AbortController();
  private stopped = false;
  /** Resolves when the run stops before its end. */
  readonly stopping: Promise<void>;
  private announceStop!: () => void;

  constructor(
    private readonly parallel: number,
    private readonly display: Display,
  ) {
    this.stopping = new Promise((resolve) => (this.announceStop = resolve));
  }

  /** Nothing new begins; what runs may finish. */
  stop(): void {
    this.stopped = true;
    this.announceStop();
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** What runs has to end at once. */
  abort(): void {
    this.stop();
    this.abortion.abort();
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** Whether running steps were aborted, which leaves what they did uncertain. */
  get isAborted(): boolean {
    return this.abortion.signal.aborted;
  }

  /** Runs a step when there is room. Throws Terminated when it did not begin or failed; a failure stops the run. */
  async run<T>(step: Step, work: (context: OperationContext) => Promise<T>): Promise<T> {
    await this.enter();
    const started = this.display.stepStarted(step);
    try {
      const result = await work({
        urn: step.urn,
        name: step.name,
        signal: this.abortion.signal,
        log: (line) => this.display.output(step.name, step.redactor.redact(line)),
        warn: (message) => this.display.warning(`${step.name}: ${step.redactor.redact(message)}`),
      });
      this.display.stepFinished(started);
      return result;
    } catch (error) {
      this.display.stepFailed(started, step.redactor.redact((error as Error).message));
      this.stop();
      throw new Terminated();
    } finally {
      this.leave();
    }
  }

  /** Resolves when no step runs. */
  async idle(): Promise<void> {
    while (this.running > 0) await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  private async enter(): Promise<void> {
    while (!this.stopped && this.running >= this.parallel) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    if (this.stopped) throw new Terminated();
    this.running++;
  }

  private leave(): void {
    this.running--;
    this.waiting.shift()?.();
    if (this.running === 0) this.idleWaiters.splice(0).forEach((wake) => wake());
  }
}
