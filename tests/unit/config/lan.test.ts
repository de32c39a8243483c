import { expect } from "chai";
import { ConfigError } from "../../../model/messages";
import { configOf, load, minimal } from "./fixtures";

const lan = { nodeNetwork: "lan", nodeCidr: "172.31.77.0/24", endpoint: "172.31.77.11", tailnetAuthKey: undefined };
type Nodes = Record<string, unknown>[];
const withNode = (changes: object, of = 3) =>
  (minimal.nodes as Nodes).map((node, i) => (i === of ? { ...node, ...changes } : node));

function problemsOf(changes: Record<string, unknown>): readonly string[] {
  try {
    load(changes);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("the config of a lan", () => {
  it("needs no secret of a tailnet, and tunnels pods unless it is told otherwise", () => {
    const { config, secrets } = load(lan);
    expect(Object.keys(secrets)).to.deep.equal(["sshPrivateKey"]);
    expect(config).to.deep.include({
      nodeNetwork: "lan",
      podRouting: "vxlan",
      endpoint: { address: "172.31.77.11", port: 6443 },
      apiServerPort: 6443,
    });
    expect(configOf({ ...lan, podRouting: "native" }).podRouting).to.equal("native");
  });

  it("does not open the tailnet's secrets that the stack may still name", () => {
    expect(problemsOf({ ...lan, tailnetAuthKeyFile: "gone", tailnetApiKeyFile: "gone" })).to.deep.equal([]);
  });

  it("takes a balancer: a name, its port, and the port of the API servers behind it", () => {
    const config = configOf({ ...lan, endpoint: "k8s.example.com", endpointPort: "443", apiServerPort: "6443" });
    expect(config.endpoint).to.deep.equal({ address: "k8s.example.com", port: 443 });
    expect(config.apiServerPort).to.equal(6443);
  });

  it("may have its endpoint at a host's own address, and hosts in any network", () => {
    const nodes = withNode({ host: { address: "100.64.0.5" } });
    expect(problemsOf({ ...lan, endpoint: "192.0.2.11", nodes })).to.deep.equal([]);
  });

  it("says how each node's address is found, and what a node says for itself wins", () => {
    const config = configOf({
      ...lan,
      nodeInterface: "eth+",
      checksumOffload: "false",
      nodes: [
        ...withNode({ nodeIp: "10.1.1.1", checksumOffload: true }),
        { name: "w2", role: "worker", host: { address: "192.0.2.22" }, nodeInterface: "ens1" },
      ],
    });
    expect(config.nodes.map((node) => node.lan)).to.deep.equal([
      ...[1, 2, 3].map(() => ({ cidr: "172.31.77.0/24", interface: "eth+", checksumOffload: false })),
      { address: "10.1.1.1", checksumOffload: true },
      { interface: "ens1", checksumOffload: false },
    ]);
    expect(configOf().nodes.every((node) => !("lan" in node))).to.equal(true);
  });

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    [
      "no endpoint",
      { ...lan, endpoint: undefined },
      /^endpoint: not set\. Wanted: with nodeNetwork lan, an IPv4 address/,
    ],
    ["no way to a node's address", { ...lan, nodeCidr: undefined }, /^nodeCidr: not set\. Wanted: .* nodeInterface\./],
    [
      "pods in the hosts' network",
      { ...lan, endpoint: "k8s.example.com", podCidr: "172.31.0.0/16" },
      /^podCidr: "172\.31\.0\.0\/16" is refused\. Allowed: what does not overlap nodeCidr 172\.31\.77\.0\/24/,
    ],
    [
      "an endpoint among the services",
      { ...lan, endpoint: "10.96.0.10" },
      /^endpoint: "10\.96\.0\.10" is refused\. .*serviceCidr 10\.96\.0\.0\/12/,
    ],
    [
      "a worker as the endpoint",
      { ...lan, endpoint: "172.31.77.21", nodes: withNode({ nodeIp: "172.31.77.21" }) },
      /^endpoint: "172\.31\.77\.21" is refused\. .*w1, a worker/,
    ],
    [
      "one address for two",
      {
        ...lan,
        nodes: withNode({ nodeIp: "10.1.1.1" }).map((node, i) => (i === 0 ? { ...node, nodeIp: "10.1.1.1" } : node)),
      },
      /^nodes\[3\]\.nodeIp: "10\.1\.1\.1" is refused\. .*nodes\[0\] has this one/,
    ],
    ["an operator by the tailnet", { ...lan, operatorEndpoint: "tailnet" }, /^operatorEndpoint: .*host or endpoint/],
    ["no network", { nodeNetwork: "wan" }, /^nodeNetwork: "wan" is refused\. Allowed: tailnet or lan\./],
    [
      "a glob",
      { ...lan, nodeInterface: "eth*" },
      /^nodeInterface: "eth\*" is refused\. Allowed: the name of an interface/,
    ],
    [
      "Cilium's devices",
      { ...lan, ciliumValues: { devices: "eth0" } },
      /^ciliumValues\.devices: .*\. Change nodeInterface instead\.$/,
    ],
    [
      "Cilium's MTU",
      { ...lan, ciliumValues: { MTU: 9000 } },
      /^ciliumValues\.MTU: 9000 is refused\. Allowed: what the hosts' interfaces say/,
    ],
    ["a lan's key in a tailnet", { nodeCidr: "10.1.0.0/16" }, /^nodeCidr: .*Remove it, or set nodeNetwork: lan\.$/],
    [
      "a lan's key of a node in a tailnet",
      { nodes: withNode({ nodeIp: "10.1.1.1" }) },
      /^nodes\[3\]\.nodeIp: .*nodeNetwork: lan\.$/,
    ],
    ["offload in a tailnet", { checksumOffload: "false" }, /^checksumOffload: false is refused/],
    [
      "a name in a tailnet",
      { endpoint: "k8s.example.com" },
      /^endpoint: "k8s\.example\.com" is refused\. Allowed: an IPv4 address such as 10\.200\.0\.1/,
    ],
    ["two ports in a tailnet", { apiServerPort: "7443" }, /^apiServerPort: .*endpointPort 6443/],
  ];
  for (const [what, changes, line] of wrong) {
    it(`is refused with ${what}, in one line`, () => {
      const problems = problemsOf(changes);
      expect(problems).to.have.lengthOf(1);
      expect(problems[0]).to.match(line);
    });
  }
});
