/** What the last run left of a cluster, in the cluster's own state. */
import * as pulumi from "@pulumi/pulumi";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { isValues } from "../../model/merge";
import { hasStateMigrations, isKnown, isMocked } from "../../model/sdk-internals";
import { userError } from "../../model/report";
import type { PreviousOutputs } from "../../preview/last-run-outputs";

type Outputs = Readonly<Record<string, unknown>>;

/**
 * Memory of the last run: read before it is written again, in a preview as well as in an update.
 *
 * A pulumi.Stash cannot do that: its `output` never changes after its creation, and it needs its next input first. So this is a
 * component without children. A state migration, which changes nothing, receives its previous state from the engine, and its outputs
 * are registered after everything else. A failed run registers none, so the previous outputs stay.
 */
export class LastRunState extends pulumi.ComponentResource implements PreviousOutputs {
  public readonly reference: pulumi.Resource = this;
  /** From the state; undefined if no run was completed. */
  private readonly former: pulumi.Output<Outputs | undefined>;
  private other?: PreviousOutputs;

  /**
   * @param instead how to read the last run without a memory: the stack is older than memories, or the engine cannot read them.
   */
  constructor(
    name: string,
    private readonly instead: (() => PreviousOutputs) | undefined,
    opts: pulumi.ComponentResourceOptions,
  ) {
    const canRead = hasStateMigrations();
    if (!canRead && !isMocked() && instead === undefined) throw userError(tooOld);
    const state: { outputs?: unknown } = {};
    const read: pulumi.StateMigration = ({ oldState: [own] }) => {
      state.outputs = own?.outputs;
      return undefined;
    };
    super("tailkube:cluster:LastRun", name, {}, canRead ? { ...opts, stateMigrations: [read] } : opts);
    // The URN is known after the engine has called the migration.
    this.former = this.urn.apply(() =>
      isValues(state.outputs) && Object.keys(state.outputs).length > 0 ? state.outputs : undefined,
    );
  }

  public get(name: string): pulumi.Output<unknown> {
    return this.former.apply<unknown>((former) => {
      if (former === undefined) {
        this.other ??= this.instead?.();
        return this.other?.get(name);
      }
      const { value, isSecret } = opened(former[name]);
      return isSecret ? pulumi.secret(value) : value;
    });
  }

  /** Keeps these for the next run if all of them become known; otherwise keeps what this run has read. */
  public keep(outputs: Readonly<Record<string, pulumi.Input<unknown>>>): void {
    const now = isKnown(pulumi.output(outputs));
    const former = () => Object.fromEntries(Object.keys(outputs).map((name) => [name, this.get(name)]));
    this.registerOutputs(now.then((known) => (known || pulumi.runtime.isDryRun() ? outputs : former())));
  }
}

const tooOld =
  "this Pulumi CLI does not support state migrations, which the program needs to read what its last run left. " +
  "Required: Pulumi CLI 3.276.0 or newer; with Pulumi Cloud, also the second version of its journal or PULUMI_DISABLE_JOURNALING=true. " +
  "Update the CLI";

/** A decrypted value of a state file, and whether it, or a part of it, was secret. */
function opened(value: unknown): { value: unknown; isSecret: boolean } {
  if (Array.isArray(value)) {
    const all = value.map(opened);
    return { value: all.map((one) => one.value), isSecret: all.some(({ isSecret }) => isSecret) };
  }
  if (!isValues(value)) return { value, isSecret: false };
  if (value[specialSigKey] === specialSecretSig) {
    return { value: opened(JSON.parse(value.plaintext as string)).value, isSecret: true };
  }
  const all = Object.entries(value).map(([key, inner]) => [key, opened(inner)] as const);
  return {
    value: Object.fromEntries(all.map(([key, inner]) => [key, inner.value])),
    isSecret: all.some(([, { isSecret }]) => isSecret),
  };
}
