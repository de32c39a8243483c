import { expect } from "chai";
import { planOf } from "../../../preview/steps";
import { configOf } from "../config/fixtures";
import { afterRunOf, outputsOf } from "../fixtures";

const proxied = { proxy: { http: "http://proxy.lan:3128" } };
const lan = {
  nodeNetwork: "lan",
  lan: { cidr: "192.0.2.0/24" },
  endpoint: { address: "192.0.2.11" },
  tailnetAuthKey: undefined,
};

const stepsOf = (changes: Record<string, unknown>, before: Record<string, unknown>) =>
  planOf(configOf(changes), afterRunOf(configOf(before))).steps.filter(({ kind }) => kind === "upgrade");
const linesOf = (...[changes, before]: Parameters<typeof stepsOf>) =>
  stepsOf(changes, before).map(({ nodes, does, disturbs }) => `${nodes.join(" ")}: ${does} [${disturbs}]`);

describe("the plan with a proxy", () => {
  it("names it for a new node", () => {
    const prepare = planOf(configOf(proxied), undefined).steps.find(({ kind }) => kind === "prepare")!;
    expect(prepare.does).to.match(/gets containerd and kubelet, through the proxy at proxy\.lan:3128$/);
  });

  it("says what restarts when it is set, changed or removed, one node at a time", () => {
    const workers = "its pods, which are evicted";
    expect(linesOf(proxied, {})).to.deep.equal([
      ...["cp1", "cp2", "cp3"].map(
        (name) =>
          `${name}: is drained; its containerd, tailscaled and Cilium restart with the proxy at proxy.lan:3128 [${workers}; clients of its API server]`,
      ),
      `w1: is drained; its containerd, tailscaled and Cilium restart with the proxy at proxy.lan:3128 [${workers}]`,
    ]);
    expect(linesOf({}, proxied).at(-1)).to.equal(
      `w1: is drained; its containerd, tailscaled and Cilium restart without the proxy [${workers}]`,
    );
    expect(linesOf({ proxy: { ...proxied.proxy, noProxy: ["lan"] } }, proxied)).to.have.lengthOf(4);
    expect(linesOf({ ...lan, ...proxied }, lan).at(-1)).to.match(/its containerd restarts with the proxy at/);
    const steps = stepsOf(proxied, {});
    steps.slice(1).forEach((step, i) => expect(step.after, step.nodes.join()).to.include(steps[i]));
  });

  it("names it among other changes of software", () => {
    const both = { ...proxied, mirrors: { registries: [{ name: "quay.io", endpoints: ["https://mirror.lan"] }] } };
    expect(linesOf(both, {})[0]).to.match(/upgraded because of mirrors\.registries and proxy, unless it is up to date/);
  });

  it("is empty without a change, and a stack without a proxy has nothing of it in its outputs", () => {
    expect(linesOf(proxied, proxied)).to.deep.equal([]);
    expect(linesOf({}, {})).to.deep.equal([]);
    expect(JSON.stringify(outputsOf(configOf()))).to.not.include("proxy");
  });
});
