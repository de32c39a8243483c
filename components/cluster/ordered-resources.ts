import * as pulumi from "@pulumi/pulumi";
import type { NodeConfig } from "../../model/config";
import { byId, type OrderedStep, type StepKind, waitsFor } from "../../model/order";
import { formerUrns } from "./former-urns";

/** A resource, alone or with its results; an output if it resolves later. */
type Made = MadeResource | { resource: pulumi.Resource } | undefined;
type MadeResource = pulumi.Resource | pulumi.Output<pulumi.Resource>;

export interface StepOptions {
  parent: pulumi.Resource;
  dependsOn: pulumi.Input<pulumi.Resource>[];
  aliases: pulumi.Input<string>[];
}

/** The resources of a cluster. Each waits for the earlier steps that the order names. */
export class OrderedResources {
  private readonly order: ReadonlyMap<string, OrderedStep>;
  private readonly made = new Map<string, MadeResource | undefined>();

  /**
   * @param hostOf the parent of a node's resources.
   * @param prefix of each resource's name.
   */
  constructor(
    order: readonly OrderedStep[],
    private readonly cluster: pulumi.Resource,
    private readonly hostOf: (node: NodeConfig) => pulumi.Resource,
    private readonly prefix = "",
  ) {
    this.order = byId(order);
  }

  /**
   * Makes the resource of a step.
   *
   * @param make returns undefined if the cluster does not need the step: later steps then wait for the steps before it.
   * @throws if a step before it has not been made yet.
   */
  public make<T extends Made>(
    kind: StepKind,
    node: NodeConfig | undefined,
    make: (name: string, opts: StepOptions) => T,
  ): T {
    const step = [...this.order.values()].find((one) => one.kind === kind && one.node === node?.name);
    if (step === undefined) throw new Error(`the order has no ${kind} of ${node?.name ?? "the cluster"}`);
    const dependsOn = waitsFor(step, this.order, (id) => this.earlier(id, step) !== undefined);
    const made = make(this.prefix + step.id, {
      parent: node === undefined ? this.cluster : this.hostOf(node),
      dependsOn: dependsOn.map((id) => this.made.get(id)!),
      // Older stacks have only the program's own cluster, without a prefix.
      aliases: this.prefix === "" ? formerUrns(step, this.cluster) : [],
    });
    this.made.set(step.id, resourceOf(made));
    return made;
  }

  private earlier(id: string, of: OrderedStep): MadeResource | undefined {
    if (!this.made.has(id)) throw new Error(`${of.id} waits for ${id}, which has not been made`);
    return this.made.get(id);
  }
}

function resourceOf(made: Made): MadeResource | undefined {
  if (made === undefined || pulumi.Resource.isInstance(made) || pulumi.Output.isInstance(made)) return made;
  return made.resource;
}
