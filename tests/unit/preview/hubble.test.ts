import { expect } from "chai";
import { planOf } from "../../../preview/steps";
import { configOf } from "../config/fixtures";
import { afterRunOf } from "../fixtures";

const relay = { hubble: { relay: true } };
const both = { hubble: { relay: true, ui: true } };
const rest = ["wait until Cilium, the nodes and CoreDNS are ready", "the cluster is checked"];

/** Each step as a line: what it does and what it disturbs. */
const linesOf = (changes: Record<string, unknown>, before: Record<string, unknown>) =>
  planOf(configOf(changes), afterRunOf(configOf(before))).steps.map(
    ({ does, disturbs }) => `${does}${disturbs === undefined ? "" : ` [${disturbs}]`}`,
  );

describe("the plan for Hubble", () => {
  it("switched on: what starts, and that nothing restarts", () => {
    expect(linesOf(relay, {})).to.deep.equal(["Hubble's relay starts; Cilium's own pods do not restart", ...rest]);
    expect(linesOf(both, {})).to.deep.equal([
      "Hubble's relay and Hubble's UI start; Cilium's own pods do not restart",
      ...rest,
    ]);
    const { nodes } = planOf(configOf(both), afterRunOf(configOf()));
    expect(nodes.map(({ changes }) => changes.join())).to.deep.equal(nodes.map(() => "untouched"));
  });

  it("switched off, in part or as a whole: whom that disturbs", () => {
    expect(linesOf({}, both)).to.deep.equal([
      "Hubble's relay and Hubble's UI are removed; Cilium's own pods do not restart [users of Hubble's relay and Hubble's UI]",
      ...rest,
    ]);
    expect(linesOf(relay, both)[0]).to.equal(
      "Hubble's UI is removed; Cilium's own pods do not restart [users of Hubble's UI]",
    );
  });

  it("together with another change of Cilium: its pods restart", () => {
    const restart = "[connections through Cilium's proxies; its pods restart one after the other]";
    expect(linesOf({ ...relay, cilium: { values: { l7Proxy: false } } }, {})[0]).to.equal(
      `Cilium is reconfigured with the changed values; Hubble's relay starts ${restart}`,
    );
    expect(linesOf({ ...relay, cilium: { version: "1.21.0" } }, {})[0]).to.equal(
      `Cilium changes from 1.20.2 to 1.21.0; Hubble's relay starts ${restart}`,
    );
  });

  it("left as it is: nothing, and of a new cluster it starts with Cilium", () => {
    expect(linesOf(both, both)).to.deep.equal([]);
    expect(linesOf(relay, relay)).to.deep.equal([]);
    const steps = planOf(configOf(both), undefined).steps.map(({ does }) => does);
    expect(steps).to.include("Cilium 1.20.2 is installed; Hubble's relay and Hubble's UI start");
  });
});
