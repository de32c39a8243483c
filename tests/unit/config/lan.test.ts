import { expect } from "chai";
import { configOf, load, minimal, problemsOf } from "./fixtures";

const lan = {
  nodeNetwork: "lan",
  lan: { cidr: "172.31.77.0/24" },
  endpoint: { address: "172.31.77.11" },
  tailnetAuthKey: undefined,
};
type Nodes = Record<string, unknown>[];
const withNode = (changes: object, of = 3) =>
  (minimal.nodes as Nodes).map((node, i) => (i === of ? { ...node, ...changes } : node));

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
    expect(configOf({ ...lan, network: { podRouting: "native" } }).podRouting).to.equal("native");
  });

  it("does not open the tailnet's secrets that the stack may still name", () => {
    expect(problemsOf({ ...lan, tailnet: { authKeyFile: "gone", apiKeyFile: "gone" } })).to.deep.equal([]);
  });

  it("takes a balancer: a name, its port, and the port of the API servers behind it", () => {
    const config = configOf({
      ...lan,
      endpoint: { address: "k8s.example.com", port: 443, apiServerPort: 6443 },
    });
    expect(config.endpoint).to.deep.equal({ address: "k8s.example.com", port: 443 });
    expect(config.apiServerPort).to.equal(6443);
  });

  it("may have its endpoint at a host's own address, and hosts in any network", () => {
    const nodes = withNode({ host: { address: "100.64.0.5" } });
    expect(problemsOf({ ...lan, endpoint: { address: "192.0.2.11" }, nodes })).to.deep.equal([]);
  });

  it("says how each node's address is found, and what a node says for itself wins", () => {
    const config = configOf({
      ...lan,
      lan: { ...lan.lan, interface: "eth+", checksumOffload: "false" },
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
      { ...lan, endpoint: { address: undefined } },
      /^endpoint\.address: not set\. Required: with nodeNetwork lan, the IPv4 address/,
    ],
    [
      "no way to a node's address",
      { ...lan, lan: { cidr: undefined } },
      /^lan\.cidr: not set\. Required: .* lan\.interface\./,
    ],
    [
      "pods in the hosts' network",
      {
        ...lan,
        endpoint: { address: "k8s.example.com" },
        network: { podCidr: "172.31.0.0/16" },
      },
      /^network\.podCidr: "172\.31\.0\.0\/16" overlaps lan\.cidr 172\.31\.77\.0\/24/,
    ],
    [
      "an endpoint among the services",
      { ...lan, endpoint: { address: "10.96.0.10" } },
      /^endpoint\.address: "10\.96\.0\.10" overlaps network\.serviceCidr 10\.96\.0\.0\/12/,
    ],
    [
      "a worker as the endpoint",
      { ...lan, endpoint: { address: "172.31.77.21" }, nodes: withNode({ nodeIp: "172.31.77.21" }) },
      /^endpoint\.address: "172\.31\.77\.21" is .*w1, a worker/,
    ],
    [
      "one address for two",
      {
        ...lan,
        nodes: withNode({ nodeIp: "10.1.1.1" }).map((node, i) => (i === 0 ? { ...node, nodeIp: "10.1.1.1" } : node)),
      },
      /^nodes\[3\]\.nodeIp: "10\.1\.1\.1" is already the nodeIp of nodes\[0\]/,
    ],
    ["an operator by the tailnet", { ...lan, operatorEndpoint: "tailnet" }, /^operatorEndpoint: .*host or endpoint/],
    ["no network", { nodeNetwork: "wan" }, /^nodeNetwork: "wan" is invalid\. Allowed: tailnet or lan\./],
    [
      "a glob",
      { ...lan, lan: { ...lan.lan, interface: "eth*" } },
      /^lan\.interface: "eth\*" is invalid\. Allowed: an interface name/,
    ],
    [
      "Cilium's devices",
      { ...lan, cilium: { values: { devices: "eth0" } } },
      /^cilium\.values\.devices: .*\. Change lan\.interface instead\.$/,
    ],
    [
      "Cilium's MTU",
      { ...lan, cilium: { values: { MTU: 9000 } } },
      /^cilium\.values\.MTU: 9000 conflicts with .* Allowed: the value that the hosts' interfaces have/,
    ],
    [
      "a lan's key in a tailnet",
      { lan: { cidr: "10.1.0.0/16" } },
      /^lan\.cidr: .*Remove it, or set nodeNetwork: lan\.$/,
    ],
    [
      "a lan's key of a node in a tailnet",
      { nodes: withNode({ nodeIp: "10.1.1.1" }) },
      /^nodes\[3\]\.nodeIp: .*nodeNetwork: lan\.$/,
    ],
    [
      "offload in a tailnet",
      { lan: { checksumOffload: "false" } },
      /^lan\.checksumOffload: false requires nodeNetwork lan/,
    ],
    [
      "a name in a tailnet",
      { endpoint: { address: "k8s.example.com" } },
      /^endpoint\.address: "k8s\.example\.com" is invalid\. Allowed: an IPv4 address such as 10\.200\.0\.1/,
    ],
    [
      "two ports in a tailnet",
      { endpoint: { apiServerPort: 7443 } },
      /^endpoint\.apiServerPort: .*endpoint\.port 6443/,
    ],
  ];
  for (const [what, changes, line] of wrong) {
    it(`is refused with ${what}, in one line`, () => {
      const problems = problemsOf(changes);
      expect(problems).to.have.lengthOf(1);
      expect(problems[0]).to.match(line);
    });
  }
});
