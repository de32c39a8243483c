import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { OrderedResources, type StepOptions } from "../../../../components/cluster/ordered-resources";
import { orderOf } from "../../../../model/order";
import { configOf, minimal } from "../../config/fixtures";

const config = configOf({ nodes: (minimal.nodes as object[]).slice(0, 1) });
const [node] = config.nodes;

describe("the resources of the order", () => {
  // Stand-ins: only which one comes back counts.
  const named = (name: string) => ({ name }) as unknown as pulumi.Resource;
  const resource = (name: string) => ({ resource: named(name) });
  const cluster = { urn: pulumi.output("urn:pulumi:test::tailkube::Cluster::c") } as pulumi.Resource;
  const host = named("host of cp1");
  const make = () => new OrderedResources(orderOf(config), cluster, () => host);
  const names = ({ dependsOn }: StepOptions) => dependsOn.map((one) => (one as unknown as { name: string }).name);
  const prepare = (resources: OrderedResources, fit: { resource: pulumi.Resource } | undefined) => {
    resources.make("facts", node, resource);
    resources.make("cleanup", node, resource);
    resources.make("fit", undefined, () => fit);
    resources.make("policy", undefined, () => undefined);
    resources.make("auth-key", node, () => undefined);
  };

  it("are given what they wait for, and their name", () => {
    const resources = make();
    prepare(resources, resource("all are fit"));
    const made = resources.make("network", node, (name, opts) => {
      expect(names(opts)).to.have.members(["cp1-cleanup", "all are fit"]);
      expect(opts.parent).to.equal(host);
      return resource(name);
    });
    expect(made).to.deep.equal(resource("cp1-tailnet"));
    resources.make(
      "runtime",
      node,
      (name, opts) => (expect(names(opts)).to.deep.equal(["cp1-tailnet"]), resource(name)),
    );
  });

  it("wait for what is before a step that is left out", () => {
    const resources = make();
    prepare(resources, undefined);
    resources.make("network", node, (name, opts) => {
      expect(names(opts)).to.have.members(["cp1-cleanup", "cp1-facts"]);
      return resource(name);
    });
  });

  it("are not made before what they wait for, nor where the order has no such step", () => {
    expect(() => make().make("runtime", node, resource)).to.throw("cp1-runtime waits for cp1-tailnet");
    expect(() => make().make("join", node, resource)).to.throw("the order has no join of cp1");
  });
});
