import { expect } from "chai";
import { changeWarnings, runningCluster, upgradeProblems } from "../../../preview/version-skew";

const wanted = (...controlPlanes: string[]) => ({
  kubernetes: "1.36.3",
  cilium: "1.20.2",
  nodes: [...controlPlanes, "w1"],
});

describe("the running cluster", () => {
  it("is what the last run's outputs say", () => {
    const nodes = [
      { name: "cp1", role: "control-plane", address: "100.64.0.1" },
      { name: "w1", role: "worker" },
    ];
    expect(runningCluster({ kubernetes: "1.36.3", cilium: "1.20.2" }, nodes)).to.deep.equal({
      kubernetes: "1.36.3",
      cilium: "1.20.2",
      nodes: ["cp1", "w1"],
      controlPlanes: ["cp1"],
    });
  });

  it("is none without outputs, and what there is of them otherwise", () => {
    expect(runningCluster(undefined, undefined)).to.equal(undefined);
    expect(runningCluster({}, [])).to.equal(undefined);
    expect(runningCluster({ kubernetes: 1 }, "nodes")).to.equal(undefined);
    expect(runningCluster({ kubernetes: "1.36.3" }, undefined)).to.deep.equal({ kubernetes: "1.36.3" });
  });
});

describe("changes of the nodes", () => {
  const running = { controlPlanes: ["cp1", "cp2", "cp3"] };

  it("are no risk while a majority of the control planes stays", () => {
    for (const stay of [
      ["cp1", "cp2", "cp3"],
      ["cp1", "cp2"],
      ["cp2", "cp3", "cp4"],
      ["cp3", "cp1", "cp4", "cp5"],
    ]) {
      expect(changeWarnings(running, stay), stay.join()).to.deep.equal([]);
    }
    expect(changeWarnings(undefined, ["cp1"])).to.deep.equal([]);
    expect(changeWarnings({ kubernetes: "1.36.3" }, ["cp1"])).to.deep.equal([]);
  });

  it("that leave etcd without its majority are said", () => {
    expect(changeWarnings(running, ["cp3", "cp4"])).to.have.lengthOf(1);
    expect(changeWarnings(running, ["cp3", "cp4"])[0]).to.match(
      /^nodes: of the control planes cp1, cp2, cp3, only cp3 would stay, but etcd needs 2 of them/,
    );
    expect(changeWarnings(running, ["cp9"])[0]).to.include("cp3, none would stay");
  });
});

describe("Cilium and Kubernetes", () => {
  const at = { kubernetes: "1.36.2", cilium: "1.20.1" };

  it("are upgraded one after the other", () => {
    const problems = upgradeProblems(at, wanted("cp1"));
    expect(problems).to.have.lengthOf(1);
    expect(problems[0]).to.match(/^cilium\.version: cannot change from .*Upgrade the two in separate runs\.$/);
    expect(upgradeProblems({ ...at, cilium: "1.20.2" }, wanted("cp1"))).to.deep.equal([]);
    expect(upgradeProblems({ ...at, kubernetes: "1.36.3" }, wanted("cp1"))).to.deep.equal([]);
  });
});
