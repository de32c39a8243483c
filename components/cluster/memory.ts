/** What the last run has left of a cluster, in the cluster's own state. */
import * as pulumi from "@pulumi/pulumi";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import { isValues } from "../../model/merge";
import { hasStateMigrations, isKnown, isMocked } from "../../model/sdk-internals";
import { reported } from "../../model/report";
import type { PreviousOutputs } from "../../preview/stack-outputs";

type Outputs = Readonly<Record<string, unknown>>;

/**
 * Memory of the last run: it is read before it is written again, in a preview as well as in an update.
 *
 * A pulumi.Stash cannot do that: its `output` stays what it was created with, and it answers only when it has its next input. So this
 * is a component without children. The engine hands its former state to a state migration, which changes nothing, and its outputs are
 * registered when all else is done. A run that fails registers none, and the former ones stay.
 */
export class ClusterMemory extends pulumi.ComponentResource implements PreviousOutputs {
  public readonly reference: pulumi.Resource = this;
  /** As the state has them; undefined if no run has come to its end. */
  private readonly former: pulumi.Output<Outputs | undefined>;
  private other?: PreviousOutputs;

  /**
   * @param instead makes what is read where there is no memory: of a stack that was made before there were any, or by an engine that
   * cannot read them.
   */
  constructor(
    name: string,
    private readonly instead: (() => PreviousOutputs) | undefined,
    opts: pulumi.ComponentResourceOptions,
  ) {
    const canRead = hasStateMigrations();
    if (!canRead && !isMocked() && instead === undefined) throw reported(tooOld);
    const state: { outputs?: unknown } = {};
    const read: pulumi.StateMigration = ({ oldState: [own] }) => {
      state.outputs = own?.outputs;
      return undefined;
    };
    super("tailkube:cluster:LastRun", name, {}, canRead ? { ...opts, stateMigrations: [read] } : opts);
    // The engine answers after it has called back.
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

  /** Has the next run read these, if all of them become known; else it reads what this one has read. */
  public keep(outputs: Readonly<Record<string, pulumi.Input<unknown>>>): void {
    const now = isKnown(pulumi.output(outputs));
    const former = () => Object.fromEntries(Object.keys(outputs).map((name) => [name, this.get(name)]));
    this.registerOutputs(now.then((known) => (known || pulumi.runtime.isDryRun() ? outputs : former())));
  }
}

const tooOld =
  "this Pulumi CLI cannot hand a program what its last run left (state migrations). " +
  "Required: Pulumi CLI 3.276.0 or newer; with Pulumi Cloud, its second version of the journal or PULUMI_DISABLE_JOURNALING=true. " +
  "Update the CLI";

/** A value of a state file in plain, and whether it, or a part of it, was secret. */
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
