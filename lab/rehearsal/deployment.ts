/** Takes the resources that a program registers, decides what is to be done for each, and has it done. */
import { formerUrns } from "./aliases";
import type { Config } from "./config";
import type { Display } from "./display";
import { Executor, Terminated } from "./executor";
import type { Goal, ReadGoal } from "./goal";
import { ignoreChanges } from "./ignoreChanges";
import { Operations } from "./operations";
import { stackOutputs } from "./outputs";
import { dependentReplacements, Plan, plan } from "./planner";
import { defaultProviderGoal, withProviderVersion } from "./providers/defaultProvider";
import type { Performer } from "./providers/provider";
import { assertPerformed, performerFor } from "./providers/registry";
import { isDefaultProvider, newState, setOutputs, stampModified } from "./resourceState";
import type { Snapshot } from "./snapshot";
import { namesStack, STACK_REFERENCE_TYPE, stackReferenceOutputs } from "./stackReference";
import type { ResourceState } from "./state/deployment";
import {
  formatProviderReference,
  isProviderType,
  makeUrn,
  packageOf,
  parseProviderReference,
  STACK_TYPE,
  urnName,
  urnType,
} from "./urn";
import { equal, Props } from "./values";

export interface DeploymentOptions {
  stack: string;
  project: string;
  dryRun: boolean;
  config: Config;
}

export class Deployment {
  private readonly operations: Operations;
  private readonly states = new Map<string, ResourceState>();
  private readonly goals = new Map<string, Goal>();
  /** The former URNs that registered resources were found by. */
  private readonly former = new Map<string, string[]>();
  private readonly defaultProviders = new Map<string, Promise<string>>();
  /** The providers as the last run left them, by URN. */
  private readonly oldProviders: Map<string, ResourceState>;
  /** URNs of what was deleted to be replaced, or as a dependent of such. */
  private readonly deleted = new Set<string>();
  private readonly replaced = new Set<string>();
  private stackOutputs: Props | undefined;

  constructor(
    private readonly options: DeploymentOptions,
    private readonly snapshot: Snapshot,
    private readonly executor: Executor,
    private readonly display: Display,
  ) {
    this.operations = new Operations(snapshot, executor, display, options.dryRun);
    const providers = snapshot.olds.filter((resource) => isProviderType(resource.type));
    this.oldProviders = new Map(providers.map((resource) => [resource.urn, resource]));
  }

  /** Throws Terminated when the run ends, other errors when the goal is invalid. */
  async register(wanted: Goal): Promise<ResourceState> {
    this.assertRunning();
    if (wanted.custom) assertPerformed(wanted.type);
    const { stack, project } = this.options;
    const urn = this.newUrn(wanted);
    const goal = this.inherit(isProviderType(wanted.type) ? withProviderVersion(wanted) : wanted);
    this.goals.set(urn, goal);
    const provider = await this.providerReference(goal);

    const aliases = formerUrns(stack, project, goal, this.former.get(goal.parent) ?? []);
    const old = [urn, ...aliases].map((candidate) => this.snapshot.findOld(candidate)).find(Boolean);
    if (old && old.urn !== urn) this.former.set(urn, [old.urn]);

    const performer = goal.custom ? this.performer(goal.type, provider) : undefined;
    const inputs = old ? this.withIgnored(goal, old) : goal.inputs;
    const checked = performer ? await performer.check(inputs, old?.inputs, goal.name) : inputs;
    this.assertRunning();
    const state = newState(urn, goal, checked, provider, old);
    const decision = plan(goal, checked, old, performer, {
      isProviderReplaced: old !== undefined && this.isProviderReplaced(old, provider),
      isHostReplaced: this.replaced.has(goal.deletedWith),
      wasDeleted: old !== undefined && this.deleted.has(old.urn),
    });
    if (decision.action === "replace") this.replaced.add(urn);
    if (decision.action === "replace" && performer) {
      // Nothing of the old resource, such as a generated name, is the new one's.
      state.inputs = await performer.check(goal.inputs, undefined, goal.name);
      this.assertRunning();
    }
    await this.perform(decision, state, old, performer);
    this.states.set(urn, state);
    return state;
  }

  /** Reads a resource that exists without this stack: of all, only the stack itself. Previews do so, too. */
  async read({ id, goal }: ReadGoal): Promise<ResourceState> {
    this.assertRunning();
    const { stack, project } = this.options;
    const label = `${goal.type} ${goal.name}`;
    if (goal.type !== STACK_REFERENCE_TYPE) {
      throw new Error(`the rehearsal engine does not support reading of existing resources (\`get\`) (${label})`);
    }
    if (!namesStack(id, project, stack)) {
      throw new Error(`the rehearsal engine does not support reading of other stacks ("${id}", ${label})`);
    }
    const urn = this.newUrn(goal);
    this.goals.set(urn, goal);
    const provider = await this.providerReference(goal);
    this.assertRunning();
    const old = this.snapshot.findOld(urn);
    const state: ResourceState = { ...newState(urn, goal, goal.inputs, provider, old), external: true };
    // As Pulumi's backends do it: what the state holds, and that is the last run's until this one ends.
    setOutputs(state, id, stackReferenceOutputs(id, stackOutputs(this.snapshot.before)));
    if (old && !equal(old.outputs ?? {}, state.outputs ?? {})) stampModified(state);
    this.snapshot.put(state, old);
    this.states.set(urn, state);
    return state;
  }

  registerOutputs(urn: string, outputs: Props): void {
    const state = this.states.get(urn);
    if (!state) throw new Error(`outputs of "${urn}", which was not registered`);
    if (state.type === STACK_TYPE) this.stackOutputs = outputs;
    else this.snapshot.setOutputs(state, outputs);
  }

  /** A failed run keeps the stack's old outputs that it did not get to. */
  finishStackOutputs(failed: boolean): Props {
    const state = [...this.states.values()].find((candidate) => candidate.type === STACK_TYPE);
    if (!state) return {};
    const outputs = failed ? { ...state.outputs, ...this.stackOutputs } : (this.stackOutputs ?? {});
    this.snapshot.setOutputs(state, outputs);
    return outputs;
  }

  /** What was replaced, and what the program did not register: to be deleted at the end of the run. */
  unwanted(): ResourceState[] {
    return this.snapshot.olds.filter((resource) => resource.delete || !this.isRegistered(resource.urn));
  }

  /** Deletes a resource for good. `doomed` is everything that is deleted with it. */
  async deleteUnwanted(old: ResourceState, doomed: ResourceState[]): Promise<void> {
    const isReplaced = old.delete && !isProviderType(old.type);
    await this.operations.delete(old, () => this.performerOfOld(old), {
      condemned: new Set([...doomed.map((resource) => resource.urn), ...this.deleted]),
      note: isReplaced ? "the replaced one" : undefined,
      record: () => {
        this.snapshot.remove(old);
        if (!old.delete && !old.external && !isDefaultProvider(old)) this.display.counts.delete++;
      },
    });
  }

  private assertRunning(): void {
    if (this.executor.isStopped) throw new Terminated();
  }

  /** Whether the program registered the resource, be it still in the making. */
  private isRegistered(urn: string): boolean {
    return this.goals.has(urn) || [...this.former.values()].some((urns) => urns.includes(urn));
  }

  private newUrn({ parent, type, name }: Goal): string {
    const urn = makeUrn(this.options.stack, this.options.project, parent, type, name);
    if (this.goals.has(urn)) throw new Error(`duplicate resource URN "${urn}"; try giving it a unique name`);
    return urn;
  }

  private withIgnored(goal: Goal, old: ResourceState): Props {
    const { inputs, unfollowed } = ignoreChanges(goal.inputs, old.inputs ?? {}, goal.ignoreChanges);
    if (unfollowed.length > 0) {
      const message = "cannot ignore changes in added or removed elements of the path";
      this.display.message("info", goal.name, `${message}: "${unfollowed.join(", ")}"`);
    }
    return inputs;
  }

  private inherit(goal: Goal): Goal {
    const parent = this.goals.get(goal.parent);
    if (!parent) return goal;
    const parentProvider = parent.provider && urnType(parseProviderReference(parent.provider).urn);
    const isOfSamePackage = parentProvider && packageOf(parentProvider) === packageOf(goal.type);
    return {
      ...goal,
      protect: goal.protect ?? parent.protect,
      retainOnDelete: goal.retainOnDelete ?? parent.retainOnDelete,
      deletedWith: goal.deletedWith || parent.deletedWith,
      provider: goal.provider || (isOfSamePackage || !goal.custom ? parent.provider : ""),
    };
  }

  /** The reference to the resource's provider; registers the package's default one if there is no other. */
  private async providerReference(goal: Goal): Promise<string> {
    if (!goal.custom || isProviderType(goal.type)) return "";
    if (goal.provider) return goal.provider;
    const providerGoal = defaultProviderGoal(packageOf(goal.type), goal.version, this.options.config);
    const key = `${providerGoal.type} ${providerGoal.name}`;
    let reference = this.defaultProviders.get(key);
    if (!reference) {
      reference = this.register(providerGoal).then((state) => formatProviderReference(state.urn, state.id!));
      this.defaultProviders.set(key, reference);
    }
    return reference;
  }

  private performer(type: string, provider: string): Performer {
    if (!provider) return performerFor(type, {});
    const { urn, id } = parseProviderReference(provider);
    const state = this.states.get(urn) ?? this.snapshot.findById(urn, id) ?? this.snapshot.find(urn);
    if (!state) throw new Error(`the provider ${urn} is not in the state`);
    return performerFor(type, state.inputs ?? {});
  }

  /** What performs a resource of the last run, with the provider that made it. */
  private performerOfOld(old: ResourceState): Performer {
    return this.performer(old.type, old.provider ?? "");
  }

  private isProviderReplaced(old: ResourceState, provider: string): boolean {
    if (!old.provider || !provider || old.provider === provider) return false;
    const oldUrn = parseProviderReference(old.provider).urn;
    const newUrn = parseProviderReference(provider).urn;
    if (this.former.get(newUrn)?.includes(oldUrn)) return false;
    const oldProvider = this.oldProviders.get(oldUrn);
    const newProvider = this.states.get(newUrn);
    if (!oldProvider || !newProvider) return true;
    const changes = performerFor(newProvider.type, {}).diff(oldProvider, newProvider.inputs ?? {});
    return changes.some((change) => change.replace);
  }

  private async perform(
    decision: Plan,
    state: ResourceState,
    old: ResourceState | undefined,
    performer: Performer | undefined,
  ): Promise<void> {
    switch (decision.action) {
      case "same":
        return this.operations.same(state, old!);
      case "create":
        return this.operations.create(state, performer);
      case "update":
        return this.operations.update(state, old!, performer, decision.changes);
      case "replace":
        return this.replace(state, old!, performer, decision);
    }
  }

  private async replace(
    state: ResourceState,
    old: ResourceState,
    performer: Performer | undefined,
    { deleteBeforeReplace, changes }: Plan & { action: "replace" },
  ): Promise<void> {
    if (old.protect && state.protect) {
      throw new Error(`"${urnName(old.urn)}" is protected and cannot be replaced; remove \`protect\` first`);
    }
    const isGone = (): boolean => old.pendingReplacement === true || this.deleted.has(old.urn) || !old.custom;
    if (deleteBeforeReplace && !isGone()) await this.deleteBeforeReplace(old);
    await this.operations.create(state, performer, old, isGone(), changes);
  }

  /** Deletes the resource, and before it the dependents that cannot outlive it. */
  private async deleteBeforeReplace(old: ResourceState): Promise<void> {
    const candidates = this.snapshot.olds.filter((resource) => !this.isRegistered(resource.urn));
    const dependents = dependentReplacements(old, candidates, (resource) => this.performerOfOld(resource));
    const doomed = [...dependents.reverse(), old].filter(
      (resource) => !this.deleted.has(resource.urn) && !resource.pendingReplacement,
    );
    const guarded = doomed.find((resource) => resource !== old && resource.protect);
    if (guarded) {
      const [name, root] = [urnName(guarded.urn), urnName(old.urn)];
      throw new Error(`"${name}" is protected, but has to be replaced with "${root}", which it depends on`);
    }
    // All at once: whoever vanishes with one of them has to know before the first is deleted.
    for (const resource of doomed) this.deleted.add(resource.urn);
    for (const resource of doomed) {
      await this.operations.delete(resource, () => this.performerOfOld(resource), {
        condemned: this.deleted,
        note: resource === old ? "to be replaced" : `to be replaced with ${urnName(old.urn)}`,
        record: () => this.snapshot.markPendingReplacement(resource),
      });
    }
  }
}
