import { expect } from "chai";
import { nodeNetworkProblems } from "../../../preview/node-network";

describe("another node network under a running cluster", () => {
  const tailnet = [{ name: "cp1", deviceId: "n1CNTRL" }];
  const lan = [{ name: "cp1", deviceId: "" }];

  it("is refused, both ways", () => {
    expect(nodeNetworkProblems(tailnet, "lan")).to.deep.equal([
      'nodeNetwork: "lan" cannot change in a running cluster. Allowed: tailnet. Set that again, or destroy the cluster first.',
    ]);
    expect(nodeNetworkProblems(lan, "tailnet")[0]).to.match(/Allowed: lan\./);
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
