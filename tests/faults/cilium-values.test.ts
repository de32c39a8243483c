import { expect } from "chai";
import * as lab from "../lab/lab";
import { agents, proxies } from "./agents";
import { faultSuite } from "./faults";
import { engine, useOwnStack, useStack } from "./stack";

/** Cilium's agents take changed values in the same run. */
describe("changed values of Cilium", function () {
  faultSuite(this);
  after(useOwnStack);

  async function change(values: Record<string, unknown> | undefined, wanted: "true" | "false") {
    const before = agents();
    expect(before.map(({ node }) => node)).to.deep.equal([...lab.hosts]);
    if (values === undefined) useOwnStack();
    else useStack({ cilium: { values } });
    let ended = false;
    let most = 0;
    const watch = async () => {
      while (!ended) {
        // The API answers by one address here, and its node may be the one whose agent restarts.
        try {
          most = Math.max(most, lab.hosts.length - agents().filter(({ isReady }) => isReady).length);
        } catch {
          // Asked again.
        }
        await lab.sleep(0.5);
      }
    };
    const [run] = await Promise.all([engine(["up"], 1_200).finally(() => (ended = true)), watch()]);
    expect(run.code, run.text.slice(-1500)).to.equal(0);
    // At once, without a wait: it has to be in force when the run ends.
    expect(proxies()).to.deep.equal(lab.hosts.map((host) => `${host} ${wanted}`));
    const now = agents();
    expect(now.map(({ node, isReady }) => `${node} ${isReady}`)).to.deep.equal(lab.hosts.map((host) => `${host} true`));
    for (const [i, { node, uid }] of now.entries()) expect(uid, `the agent of ${node}`).not.to.equal(before[i]!.uid);
    expect(most, "agents away at once").to.equal(1);
    console.log(
      `      l7Proxy ${wanted} on all nodes after ${run.seconds.toFixed(0)} s; checks: ${lab.repeatChecks().trim()}`,
    );
  }

  it("l7Proxy is off on every node when the run ends, one agent after the other; and on again after the next", async () => {
    expect(proxies()).to.deep.equal(lab.hosts.map((host) => `${host} true`));
    await change({ l7Proxy: false }, "false");
    await change(undefined, "true");
  });
});
