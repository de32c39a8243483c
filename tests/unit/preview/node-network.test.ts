import { expect } from "chai";
import { nodeNetworkProblems } from "../../../preview/node-network";

describe("another node network under a running cluster", () => {
  const tailnet = [{ name: "cp1", deviceId: "n1CNTRL" }];
  const lan = [{ name: "cp1", deviceId: "" }];

  it("is refused, both ways", () => {
    expect(nodeNetworkProblems(tailnet, "lan")).to.deep.equal([
      'nodeNetwork: "lan" is refused. Allowed: tailnet, which the cluster\'s nodes have their addresses in. ' +
        "Set it to tailnet, or destroy the cluster first.",
    ]);
    expect(nodeNetworkProblems(lan, "tailnet")[0]).to.match(/Allowed: lan, which/);
  });

  it("is none where nothing changes, or nothing is there", () => {
    expect([
      ...nodeNetworkProblems(tailnet, "tailnet"),
      ...nodeNetworkProblems(lan, "lan"),
      ...nodeNetworkProblems(undefined, "lan"),
      ...nodeNetworkProblems([{ name: "cp1" }], "lan"),
    ]).to.deep.equal([]);
  });
});
