import { expect } from "chai";
import { configOf, minimal, problemsOf } from "./fixtures";

const address = "172.31.77.10";
const lan = { nodeNetwork: "lan", lan: { cidr: "172.31.77.0/24" }, tailnetAuthKey: undefined };
const vip = (changes: object = {}, more: object = {}) => ({
  ...lan,
  endpoint: { address, kind: "vip", ...changes },
  ...more,
});
const nodes = minimal.nodes as Record<string, unknown>[];
const withFirst = (changes: object) => nodes.map((node, i) => (i === 0 ? { ...node, ...changes } : node));

describe("the config of a virtual IP", () => {
  it("is an endpoint with one port, and with kind external nothing of it", () => {
    expect(configOf(vip())).to.deep.include({ endpoint: { address, port: 6443, kind: "vip" }, apiServerPort: 6443 });
    expect(configOf(vip({ port: 7443 }))).to.deep.include({
      endpoint: { address, port: 7443, kind: "vip" },
      apiServerPort: 7443,
    });
    expect(configOf(vip({ kind: "external" })).endpoint).to.deep.equal({ address, port: 6443 });
    expect(configOf(vip({ kind: "" })).endpoint).to.deep.equal({ address, port: 6443 });
  });

  it("goes with one control plane, with a network that only an interface names, and with load balancers", () => {
    expect(problemsOf(vip({}, { nodes: nodes.slice(2) }))).to.deep.equal([]);
    expect(problemsOf(vip({}, { lan: { interface: "eth1" } }))).to.deep.equal([]);
    expect(problemsOf(vip({}, { loadBalancer: { cidr: "172.31.77.240/28" } }))).to.deep.equal([]);
  });

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    [
      "another kind",
      vip({ kind: "keepalived" }),
      /^endpoint\.kind: "keepalived" is invalid\. Allowed: external or vip\./,
    ],
    [
      "a tailnet",
      { endpoint: { kind: "vip" } },
      /^endpoint\.kind: "vip" requires nodeNetwork lan\. .* Remove it, or set nodeNetwork: lan\.$/,
    ],
    [
      "a tailnet's external one",
      { endpoint: { kind: "external" } },
      /^endpoint\.kind: "external" requires nodeNetwork lan/,
    ],
    [
      "no address",
      vip({ address: undefined }),
      /^endpoint\.address: not set\. Required: with endpoint\.kind vip, an unused IPv4 address of the nodes' network/,
    ],
    ["a name", vip({ address: "k8s.example.com" }), /^endpoint\.address: "k8s\.example\.com" is not an IPv4 address/],
    [
      "another network",
      vip({ address: "172.31.78.10" }),
      /^endpoint\.address: "172\.31\.78\.10" is not in lan\.cidr 172\.31\.77\.0\/24.* Choose an unused address/,
    ],
    ["the network's first address", vip({ address: "172.31.77.0" }), /^endpoint\.address: .* its broadcast address/],
    ["its broadcast address", vip({ address: "172.31.77.255" }), /^endpoint\.address: .* its broadcast address/],
    ["a node IP", vip({}, { nodes: withFirst({ nodeIp: address }) }), /^endpoint\.address: .* is nodes\[0\]\.nodeIp/],
    [
      "a host's address",
      vip({}, { nodes: withFirst({ host: { address } }) }),
      /^endpoint\.address: .* is nodes\[0\]\.host\.address/,
    ],
    [
      "two ports",
      vip({ port: 443, apiServerPort: 7443 }),
      /^endpoint\.apiServerPort: 7443 differs from endpoint\.port 443, .*Remove it\.$/,
    ],
    [
      "a service's address",
      vip({}, { loadBalancer: { cidr: "172.31.77.0/28" } }),
      /^loadBalancer\.cidr: .* overlaps endpoint\.address 172\.31\.77\.10/,
    ],
  ];
  for (const [name, changes, problem] of wrong) {
    it(`does not take ${name}`, () => {
      const found = problemsOf(changes);
      expect(found).to.have.lengthOf(1);
      expect(found[0]).to.match(problem);
    });
  }

  it("does not take EC2, whose networks know no ARP", () => {
    const found = problemsOf(
      vip(
        {},
        {
          ec2: { region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"] },
          nodes: [{ name: "cp1", role: "control-plane", host: { kind: "ec2" } }],
        },
      ),
    );
    expect(found.filter((line) => line.startsWith("endpoint.kind"))).to.have.lengthOf(1);
  });
});
