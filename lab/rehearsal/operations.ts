/** Carries out what was decided for a resource: by its performer, in the state, on the display. */
import { randomUUID } from "crypto";
import type { Change } from "./diff";
import type { Count, Display } from "./display";
import { Executor, Step, StepOperation, Terminated } from "./executor";
import type { OperationContext, Performer } from "./providers/provider";
import { Redactor } from "./redact";
import { isDefaultProvider, providerOutputs, setOutputs, stampCreated, stampModified } from "./resourceState";
import type { Snapshot } from "./snapshot";
import type { OperationType, ResourceState } from "./state/deployment";
import { isProviderType, urnName } from "./urn";
import { UNKNOWN } from "./values";

export interface Deletion {
  /** The URNs of everything that is being deleted: what vanishes with one of them needs no deletion of its own. */
  condemned: ReadonlySet<string>;
  /** Why, if the reason is another resource or a replacement. */
  note?: string | undefined;
  /** Writes down that it is gone. */
  record: () => void;
}

export class Operations {
  constructor(
    private readonly snapshot: Snapshot,
    private readonly executor: Executor,
    private readonly display: Display,
    private readonly dryRun: boolean,
  ) {}

  same(state: ResourceState, old: ResourceState): void {
    setOutputs(state, old.id, old.outputs);
    this.snapshot.put(state, old);
    this.count("same", state);
  }

  /**
   * @param old what the new resource replaces; it is gone already, or is deleted at the end of the run
   * @param isGone which of both
   */
  async create(
    state: ResourceState,
    performer: Performer | undefined,
    old?: ResourceState,
    isGone = false,
    changes: Change[] = [],
  ): Promise<void> {
    const operation = old ? "replace" : "create";
    const record = (): void => {
      if (old && !isGone) this.snapshot.putReplacement(state, old);
      else this.snapshot.put(state, old);
      this.count(operation, state);
    };
    if (!performer || isProviderType(state.type)) {
      // A component is but a name, a provider but its configuration: nothing runs.
      const id = this.dryRun ? UNKNOWN : randomUUID();
      setOutputs(state, performer && id, performer ? providerOutputs(state) : {});
      stampCreated(state);
      this.tell(operation, state, changes);
      return record();
    }
    const inputs = state.inputs ?? {};
    if (this.dryRun) {
      setOutputs(state, "", performer.preview(inputs));
      this.tell(operation, state, changes);
      return record();
    }
    const step = { operation, urn: state.urn, name: urnName(state.urn), redactor: new Redactor(inputs) } as const;
    await this.journaled(step, "creating", state, async (context) => {
      const { id, outputs } = await performer.create(context, inputs);
      return () => {
        setOutputs(state, id, outputs);
        stampCreated(state);
        record();
      };
    });
  }

  async update(
    state: ResourceState,
    old: ResourceState,
    performer: Performer | undefined,
    changes: Change[],
  ): Promise<void> {
    const inputs = state.inputs ?? {};
    const record = (): void => {
      this.snapshot.put(state, old);
      this.count("update", state);
    };
    const isProvider = isProviderType(state.type);
    if (!performer || isProvider || this.dryRun) {
      const outputs = isProvider ? providerOutputs(state) : (performer?.preview(inputs, old) ?? {});
      setOutputs(state, old.id, outputs);
      stampModified(state);
      this.tell("update", state, changes);
      return record();
    }
    const redactor = new Redactor(inputs, old.inputs, old.outputs);
    const step = { operation: "update", urn: state.urn, name: urnName(state.urn), redactor } as const;
    await this.journaled(step, "updating", { ...old }, async (context) => {
      const outputs = await performer.update(context, old, inputs);
      return () => {
        setOutputs(state, old.id, outputs);
        stampModified(state);
        record();
      };
    });
  }

  /** @param performer gives what performs the resource; asked only if something has to be performed */
  async delete(old: ResourceState, performer: () => Performer, deletion: Deletion): Promise<void> {
    const name = urnName(old.urn);
    const spared = sparedBecause(old, deletion.condemned);
    const note = [deletion.note, spared].filter(Boolean).join("; ") || undefined;
    if (this.dryRun) {
      // A replacement has a line of its own.
      if (!deletion.note) this.tell("delete", old, [], note);
      return deletion.record();
    }
    if (this.executor.isStopped) throw new Terminated();
    if (spared || old.pendingReplacement || !old.custom || isProviderType(old.type)) {
      this.tell("delete", old, [], note);
      return deletion.record();
    }
    const redactor = new Redactor(old.inputs, old.outputs);
    await this.journaled(
      { operation: "delete", urn: old.urn, name, redactor, note },
      "deleting",
      { ...old },
      async (c) => {
        await performer().delete(c, old);
        return deletion.record;
      },
    );
  }

  /** Runs a step that the state knows of while it runs. The work returns what is to be recorded when it succeeded. */
  private journaled(
    step: Step,
    type: OperationType,
    resource: ResourceState,
    work: (context: OperationContext) => Promise<() => void>,
  ): Promise<void> {
    return this.executor.run(step, async (context) => {
      const operation = await this.snapshot.begin(type, resource);
      let record: () => void;
      try {
        record = await work(context);
      } catch (error) {
        // What an aborted operation did is as uncertain as what a killed one did: it stays recorded.
        if (!this.executor.isAborted) await this.snapshot.end(operation, () => undefined);
        throw error;
      }
      await this.snapshot.end(operation, record);
    });
  }

  private tell(operation: StepOperation, state: ResourceState, changes: Change[], note?: string): void {
    if (isDefaultProvider(state)) return;
    const name = urnName(state.urn);
    if (this.dryRun) this.display.planned(operation, name, state.type, changes, note);
    else this.display.done(operation, name, note ?? state.type);
  }

  private count(operation: Count, state: ResourceState): void {
    if (!isDefaultProvider(state)) this.display.counts[operation]++;
  }
}

function sparedBecause(old: ResourceState, condemned: ReadonlySet<string>): string | undefined {
  if (old.external) return "it was only read";
  if (old.retainOnDelete) return "retained: only removed from the state";
  if (old.deletedWith && condemned.has(old.deletedWith)) return `vanishes with ${urnName(old.deletedWith)}`;
  return undefined;
}
