import * as pulumi from "@pulumi/pulumi";
import type { NodeConfig } from "../../model/config";
import { byId, type OrderedStep, type StepKind, waitsFor } from "../../model/order";
import { formerUrns } from "./former-urns";

/** A resource, or one and what is known by it; an output where it is there when something is known. */
type Made = MadeResource | { resource: pulumi.Resource } | undefined;
type MadeResource = pulumi.Resource | pulumi.Output<pulumi.Resource>;

export interface StepOptions {
  parent: pulumi.Resource;
  dependsOn: pulumi.Input<pulumi.Resource>[];
  aliases: pulumi.Input<string>[];
}

/** The resources of a cluster, each of which waits for what the order has before it. */
export class OrderedResources {
  private readonly order: ReadonlyMap<string, OrderedStep>;
  private readonly made = new Map<string, MadeResource | undefined>();

  /**
   * @param hostOf the parent of what is on a node's host, or only that node's.
   * @param prefix before the name of each.
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
   * @param make returns undefined where the cluster has no use for the step: what waits for it then waits for what is before it.
   * @throws if a step before it has not been made so far.
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
      // Stacks from before have the program's own cluster alone.
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
