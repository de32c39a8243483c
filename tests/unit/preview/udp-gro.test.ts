import { expect } from "chai";
import { planOf } from "../../../preview/steps";
import { configOf } from "../config/fixtures";
import { afterRunOf } from "../fixtures";

const on = { tailnet: { udpGroForwarding: true } };
const balanced = { loadBalancer: { cidr: "10.201.0.0/24" } };

/** Each step as a line: its nodes and what it does. */
const linesOf = (changes: Record<string, unknown>, before?: Record<string, unknown>) =>
  planOf(configOf(changes), before && afterRunOf(configOf(before))).steps.map(({ nodes, does, disturbs }) =>
    `${nodes.join(" ")}: ${does}${disturbs === undefined ? "" : ` [${disturbs}]`}`.replace(/^: /, ""),
  );

describe("the plan for UDP GRO forwarding", () => {
  it("of a new cluster, with and without it", () => {
    expect(linesOf(on)).to.include(
      "w1: joins the tailnet, with UDP GRO forwarding on the NICs of its default routes; gets containerd and kubelet",
    );
    expect(linesOf({})).to.include("w1: joins the tailnet; gets containerd and kubelet");
  });

  it("switched on: every node, and nothing that it disturbs or restarts", () => {
    const plan = planOf(configOf(on), afterRunOf(configOf()));
    expect(linesOf(on, {})).to.deep.equal([
      ...["cp1", "cp2", "cp3", "w1"].map(
        (name) => `${name}: turns UDP GRO forwarding on for the NICs of its default routes`,
      ),
      "wait until Cilium, the nodes and CoreDNS are ready",
      "the cluster is checked",
    ]);
    expect(plan.nodes.map(({ changes }) => changes.join())).to.deep.equal(Array(4).fill("rerouted"));
  });

  it("switched off, or left as it is", () => {
    expect(linesOf({}, on)).to.include(
      "w1: sets the NICs of its default routes back to what they were before UDP GRO forwarding",
    );
    expect(linesOf(on, on)).to.deep.equal([]);
    expect(linesOf({}, {})).to.deep.equal([]);
  });

  it("with another change of the same stage: one line, which names both and what is disturbed", () => {
    expect(linesOf(on, balanced)).to.include(
      "w1: stops advertising 10.201.0.0/24; turns UDP GRO forwarding on for the NICs of its default routes [connections to LoadBalancer services through it]",
    );
  });
});
