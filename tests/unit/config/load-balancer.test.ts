import { expect } from "chai";
import fc from "fast-check";
import { overlap } from "../../../model/cidr";
import { servingNodes } from "../../../model/nodes";
import { configOf, minimal, problemsOf } from "./fixtures";

const cidr = "10.201.0.0/24";

const lan = {
  nodeNetwork: "lan",
  lan: { cidr: "172.31.77.0/24" },
  endpoint: { address: "172.31.77.11" },
  tailnetAuthKey: undefined,
};

describe("the config of load balancers", () => {
  it("is off unless it is set, and an empty one is none", () => {
    expect(configOf()).to.not.have.property("loadBalancer");
    expect(configOf({ loadBalancer: {} })).to.not.have.property("loadBalancer");
    expect(configOf({ loadBalancer: { cidr: "" } })).to.not.have.property("loadBalancer");
    expect(configOf({ loadBalancer: { cidr } }).loadBalancer).to.deep.equal({ cidr });
  });

  it("takes any private network that shares nothing with the cluster's others, and no other", () => {
    const network = fc
      .tuple(fc.integer({ min: 16, max: 30 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }))
      .map(([prefix, bits]) => {
        const base = bits - (bits % 2 ** (32 - prefix));
        return `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join(".")}/${prefix}`;
      });
    const inPrivate = fc.oneof(
      network,
      network.map((one) => one.replace(/^\d+/, "10")),
      network.map((one) => one.replace(/^\d+\.\d+/, "172.20")),
      network.map((one) => one.replace(/^\d+\.\d+/, "10.50")),
      network.map((one) => one.replace(/^\d+\.\d+/, "192.168")),
    );
    const taken = ["10.200.0.1/32", "10.50.0.0/16", "10.96.0.0/12"];
    const allowed = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    // Docker's bridge is private, and reserved all the same.
    const reserved = ["172.17.0.0/16"];
    fc.assert(
      fc.property(inPrivate, (one) => {
        const isFree = ![...taken, ...reserved].some((other) => overlap(other, one));
        const isPrivate = allowed.some((range) => overlap(range, one));
        expect(problemsOf({ loadBalancer: { cidr: one } }).length === 0, one).to.equal(isFree && isPrivate);
      }),
      { numRuns: 150 },
    );
  });

  it("may be a part of the nodes' network in a lan, without their addresses, and public", () => {
    expect(problemsOf({ ...lan, loadBalancer: { cidr: "172.31.77.240/28" } })).to.deep.equal([]);
    expect(problemsOf({ ...lan, loadBalancer: { cidr: "172.31.77.0/28" } })).to.deep.equal([
      'loadBalancer.cidr: "172.31.77.0/28" overlaps endpoint.address 172.31.77.11 (each needs its own addresses). Choose another network.',
    ]);
    expect(
      problemsOf({ ...lan, lan: { cidr: "203.0.113.0/24" }, loadBalancer: { cidr: "203.0.113.128/28" } }),
    ).to.deep.equal([]);
  });

  it("does without an announced address on EC2, whose network knows none", () => {
    const nodes = (minimal.nodes as object[]).map((node) => ({ ...node, host: { kind: "ec2" } }));
    const ec2 = { region: "eu-central-1", vpcId: "vpc-1", subnetIds: ["subnet-1"], operatorCidrs: ["198.51.100.7/32"] };
    const changes = {
      ...lan,
      nodes,
      ec2,
      lan: { cidr: "10.20.0.0/16" },
      endpoint: { address: "k8s.example.com" },
      loadBalancer: { cidr: "10.20.200.0/24" },
    };
    // The minimal key is none that EC2 takes.
    expect(problemsOf(changes).filter((line) => !line.startsWith("sshPrivateKey:"))).to.deep.equal([
      'loadBalancer.cidr: "10.20.200.0/24" does not work on EC2 with nodeNetwork lan, because a VPC delivers only to addresses that AWS has assigned. Remove it, or set nodeNetwork: tailnet.',
    ]);
  });

  it("is served by workers, or by all nodes where there are none", () => {
    const { nodes } = configOf();
    expect(servingNodes(nodes).map(({ name }) => name)).to.deep.equal(["w1"]);
    expect(servingNodes(nodes.slice(0, 3)).map(({ name }) => name)).to.deep.equal(["cp1", "cp2", "cp3"]);
  });
});
