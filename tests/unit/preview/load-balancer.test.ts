import { expect } from "chai";
import { planMarkdown } from "../../../preview/markdown";
import { planOf } from "../../../preview/steps";
import { planText } from "../../../preview/text";
import { expectGolden } from "../../golden/golden";
import { configOf, minimal } from "../config/fixtures";
import { afterRunOf } from "../fixtures";

const balanced = { loadBalancer: { cidr: "10.201.0.0/24" } };
const lan = {
  nodeNetwork: "lan",
  lan: { cidr: "192.0.2.0/24" },
  endpoint: { address: "192.0.2.11" },
  tailnetAuthKey: undefined,
};
const planes = { nodes: (minimal.nodes as object[]).slice(0, 3) };

/** Each step as a line: its nodes, what it does and what it disturbs. */
const linesOf = (changes: Record<string, unknown>, before: Record<string, unknown>) =>
  planOf(configOf(changes), afterRunOf(configOf(before))).steps.map(({ nodes, does, disturbs }) =>
    `${nodes.join(" ")}: ${does}${disturbs === undefined ? "" : ` [${disturbs}]`}`.replace(/^: /, ""),
  );

describe("the plan for LoadBalancer services", () => {
  it("of a new cluster", () => {
    const config = configOf(balanced);
    expectGolden("plan-load-balancer.md", planMarkdown(planOf(config, undefined), config));
  });

  it("switched on: routes and a pool, no restart of Cilium and none of a node", () => {
    expect(linesOf(balanced, {})).to.deep.equal([
      "w1: advertises 10.201.0.0/24 for LoadBalancer services while its kubelet and Cilium are healthy",
      "LoadBalancer services get addresses of 10.201.0.0/24; wait until Cilium, the nodes and CoreDNS are ready",
      "the cluster is checked",
    ]);
    const plan = planOf(configOf(balanced), afterRunOf(configOf()));
    expect(Object.fromEntries(plan.nodes.map(({ name, changes }) => [name, changes.join()]))).to.deep.equal({
      cp1: "untouched",
      cp2: "untouched",
      cp3: "untouched",
      w1: "rerouted",
    });
    expect(planText(plan)).to.match(/^What this run will do to the nodes, .* \(1 rerouted, 3 untouched\):/);
  });

  it("switched off, or to other addresses: who loses what", () => {
    expect(linesOf({}, balanced)).to.deep.equal([
      "w1: stops advertising 10.201.0.0/24 [connections to LoadBalancer services through it]",
      "the pool 10.201.0.0/24 for LoadBalancer services is deleted; wait until Cilium, the nodes and CoreDNS are ready " +
        "[LoadBalancer services, which lose their addresses]",
      "the cluster is checked",
    ]);
    expect(linesOf({ loadBalancer: { cidr: "10.202.0.0/24" } }, balanced)).to.deep.equal([
      "w1: advertises 10.202.0.0/24 for LoadBalancer services instead of 10.201.0.0/24 [connections to LoadBalancer services through it]",
      "LoadBalancer services get addresses of 10.202.0.0/24 instead of 10.201.0.0/24; wait until Cilium, the nodes and CoreDNS are ready " +
        "[LoadBalancer services, whose addresses change]",
      "the cluster is checked",
    ]);
  });

  it("left as it is: nothing", () => {
    expect(linesOf(balanced, balanced)).to.deep.equal([]);
    expect(linesOf({ ...lan, ...balanced }, { ...lan, ...balanced })).to.deep.equal([]);
  });

  it("of the first worker: it takes the traffic, and the control planes no longer do", () => {
    const lines = linesOf(balanced, { ...balanced, ...planes });
    expect(lines).to.include(
      "w1: joins as a worker through 10.200.0.1:6443, and advertises 10.201.0.0/24 for LoadBalancer services",
    );
    for (const name of ["cp1", "cp2", "cp3"]) {
      expect(lines).to.include(
        `${name}: stops advertising 10.201.0.0/24 [connections to LoadBalancer services through it]`,
      );
    }
  });

  it("in a lan: Cilium is reconfigured to announce the addresses, and no node advertises them", () => {
    expect(linesOf({ ...lan, ...balanced }, lan)).to.deep.equal([
      "Cilium is reconfigured with the changed values [connections through Cilium's proxies; its pods restart one after the other]",
      "LoadBalancer services get addresses of 10.201.0.0/24; wait until Cilium, the nodes and CoreDNS are ready",
      "the cluster is checked",
    ]);
  });
});
