import { expect } from "chai";
import { controlPlanes, defaultTaints, labelLines, taintLines, workers } from "../../../model/nodes";
import { configOf, minimal } from "../config/fixtures";

describe("nodes", () => {
  const [cp1, cp2, cp3, w1] = minimal.nodes as { name: string }[];
  const { nodes } = configOf({ nodes: [w1, cp3, cp1, cp2] });

  it("join in the order of the config, control planes apart from workers", () => {
    expect(controlPlanes(nodes).map((node) => node.name)).to.deep.equal(["cp3", "cp1", "cp2"]);
    expect(workers(nodes).map((node) => node.name)).to.deep.equal(["w1"]);
  });

  it("get kubeadm's taint only as control planes beside workers", () => {
    expect(defaultTaints("control-plane", true)).to.have.lengthOf(1);
    expect(defaultTaints("control-plane", false)).to.deep.equal([]);
    expect(defaultTaints("worker", true)).to.deep.equal([]);
  });

  it("have their labels and taints in lines for the shell", () => {
    const labelled = configOf({
      nodes: [
        { ...cp1, labels: { "example.com/rack": "b2", empty: "" } },
        { ...w1, labels: { a: "b" }, taints: [{ key: "example.com/gpu", value: "yes", effect: "NoExecute" }] },
      ],
    }).nodes;
    expect(labelLines(labelled)).to.equal("cp1 example.com/rack=b2\ncp1 empty=\nw1 a=b");
    expect(taintLines(labelled)).to.equal(
      "cp1 node-role.kubernetes.io/control-plane:NoSchedule\nw1 example.com/gpu=yes:NoExecute",
    );
    expect(labelLines([])).to.equal("");
  });
});
