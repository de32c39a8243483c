import type * as pulumi from "@pulumi/pulumi";
import type { NodeConfig } from "../../model/config";
import { byId, type OrderedStep, type StepKind, waitsFor } from "../../model/order";

/** What a step has made; an output where it is there when something is known. */
type Made = pulumi.Resource | pulumi.Output<pulumi.Resource> | undefined;

export interface StepOptions {
  parent: pulumi.Resource;
  dependsOn: pulumi.Input<pulumi.Resource>[];
}

/** The resources of a cluster, each of which waits for what the order has before it. */
export class OrderedResources {
  private readonly order: ReadonlyMap<string, OrderedStep>;
  private readonly made = new Map<string, Made>();

  constructor(
    order: readonly OrderedStep[],
    private readonly cluster: pulumi.Resource,
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
    const dependsOn = waitsFor(step, this.order, (id) => this.resourceOf(id, step) !== undefined);
    const resource = make(step.id, { parent: this.cluster, dependsOn: dependsOn.map((id) => this.made.get(id)!) });
    this.made.set(step.id, resource);
    return resource;
  }

  private resourceOf(id: string, of: OrderedStep): Made {
    if (!this.made.has(id)) throw new Error(`${of.id} waits for ${id}, which has not been made`);
    return this.made.get(id);
  }
}
