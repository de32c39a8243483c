import { expect } from "chai";
import type { NodeConfig } from "../../../../model/config";
import { networkProblems, preflightReport, preflightWarnings } from "../../../../components/cluster/preflight";
import { type HostFacts } from "../../../../components/hosts/facts";
import { configOf, goodFacts } from "../../config/fixtures";

const config = configOf();
const [cp1, cp2, cp3, w1] = config.nodes as [NodeConfig, NodeConfig, NodeConfig, NodeConfig];

const eth1 = (...addresses: string[]): Partial<HostFacts> => ({ interfaces: [{ name: "eth1", addresses, mtu: 1500 }] });

/** All four hosts, of which the first ones differ from good ones. */
const all = (...facts: Partial<HostFacts>[]) =>
  [cp1, cp2, cp3, w1].map((node, i) => ({ node, facts: goodFacts({ machineId: `id-${i}`, ...facts[i] }) }));

describe("an address in Tailscale's range that is not Tailscale's", () => {
  const carrier = eth1("100.70.1.5/24");

  it("is warned of", () => {
    const [line, ...others] = preflightWarnings(all({}, carrier), config);
    expect(line).to.match(/^cp2: its interface eth1 has 100\.70\.1\.5\/24, in 100\.64\.0\.0\/10\. Tailscale drops/);
    expect(others).to.deep.equal([]);
    expect(preflightReport(all({}, carrier), config)).to.equal(undefined);
  });

  it("is refused where the host is dialled at it", () => {
    const [first, ...others] = all(carrier);
    const dialled = { ...first!, node: { ...cp1, host: { ...cp1.host, address: "100.70.1.5" } } as NodeConfig };
    expect(preflightReport([dialled, ...others], config)).to.match(
      /\n {2}- cp1: host\.address 100\.70\.1\.5 is 100\.70\.1\.5\/24 on its interface eth1, in 100\.64\.0\.0\/10/,
    );
  });

  it("is none of Tailscale's own, and nothing to a lan", () => {
    const own = {
      interfaces: [{ name: "tailscale0", addresses: ["100.64.0.9/32", "fd7a:115c:a1e0::9/128"], mtu: 1280 }],
    };
    expect(preflightWarnings(all(own, eth1("100.128.0.1/24")), config)).to.deep.equal([]);
    const lan = configOf({
      nodeNetwork: "lan",
      lan: { cidr: "100.70.1.0/24" },
      endpoint: { address: "100.70.1.5" },
      tailnetAuthKey: undefined,
    });
    expect(preflightWarnings(all(carrier), lan)).to.deep.equal([]);
  });
});

describe("the addresses of load balancers", () => {
  const lan = (cidr: string) =>
    configOf({
      nodeNetwork: "lan",
      lan: { cidr: "172.31.77.0/24" },
      endpoint: { address: "172.31.77.11" },
      tailnetAuthKey: undefined,
      loadBalancer: { cidr },
    });
  const hosts = (config: ReturnType<typeof configOf>, ...more: string[]) =>
    config.nodes.map((node, i) => ({
      node,
      facts: goodFacts({ machineId: `id-${i}`, ...eth1(`172.31.77.${11 + i}/24`, ...(i === 3 ? more : [])) }),
    }));

  it("share nothing with a network of the hosts in a tailnet", () => {
    const balanced = configOf({ loadBalancer: { cidr: "10.201.0.0/24" } });
    expect(networkProblems({ node: w1, facts: goodFacts(eth1("10.201.0.9/16")) }, balanced)).to.deep.equal([
      "w1: loadBalancer.cidr 10.201.0.0/24 overlaps 10.201.0.9/16 on its interface eth1. Choose another loadBalancer.cidr " +
        "that no network of the hosts uses.",
    ]);
    expect(networkProblems({ node: w1, facts: goodFacts(eth1("10.202.0.9/16")) }, balanced)).to.deep.equal([]);
  });

  it("are a part of the hosts' network in a lan, without an address of a host", () => {
    const part = lan("172.31.77.240/28");
    expect(preflightReport(hosts(part), part)).to.equal(undefined);
    expect(preflightWarnings(hosts(part), part)).to.deep.equal([]);
    expect(preflightReport(hosts(part, "172.31.77.241/24"), part)).to.match(
      /\n {2}- w1: loadBalancer\.cidr 172\.31\.77\.240\/28 contains 172\.31\.77\.241 on its interface eth1\. Choose a part/,
    );
  });

  it("outside of the hosts' network in a lan are warned of", () => {
    const outside = lan("10.201.0.0/24");
    expect(preflightReport(hosts(outside), outside)).to.equal(undefined);
    expect(preflightWarnings(hosts(outside), outside)).to.deep.equal([
      "loadBalancer.cidr: 10.201.0.0/24 is not in 172.31.77.0/24, the network of the nodes. Other devices reach services only with a " +
        "route to it on that network. Choose an unused part of that network, or add the route to its router.",
    ]);
  });
});

describe("networkProblems", () => {
  const good: [string, Partial<HostFacts>][] = [
    ["a host's usual networks", {}],
    ["a NAT's address that is the same everywhere", eth1("10.0.2.15/24")],
    ["IPv6 addresses", eth1("fe80::1/64", "2001:db8::1/64")],
    ["an interface without an address", eth1()],
    ["a network right beside the pods'", eth1("10.51.0.1/16", "10.49.255.254/16")],
    [
      "our own cluster's interfaces",
      {
        interfaces: [
          { name: "lo", addresses: ["127.0.0.1/8", "10.200.0.1/32"], mtu: 1500 },
          { name: "tailscale0", addresses: ["100.64.0.1/32"], mtu: 1500 },
          { name: "cilium_host", addresses: ["10.50.0.55/32"], mtu: 1500 },
          { name: "lxc0a1b2c3d4e5f", addresses: ["10.50.0.7/32"], mtu: 1500 },
          { name: "lxc_health", addresses: ["10.50.0.8/32"], mtu: 1500 },
        ],
      },
    ],
  ];
  for (const [what, facts] of good) {
    it(`finds nothing wrong with ${what}`, () => {
      expect(networkProblems({ node: cp1, facts: goodFacts(facts) }, config)).to.deep.equal([]);
    });
  }

  it("advises another number where the networks follow from one", () => {
    const facts = goodFacts(eth1("10.52.3.4/24"));
    expect(networkProblems({ node: cp1, facts }, configOf({ network: { number: 2 } }))).to.deep.equal([
      "cp1: network.podCidr 10.52.0.0/16 overlaps 10.52.3.4/24 on its interface eth1. Choose another network.number, whose networks no " +
        "network of the hosts uses.",
    ]);
  });

  const bad: [string, Partial<HostFacts>, string][] = [
    [
      "a network within the pods'",
      eth1("10.50.3.4/24"),
      "cp1: network.podCidr 10.50.0.0/16 overlaps 10.50.3.4/24 on its interface eth1. Choose another network.podCidr that no network of " +
        "the hosts uses.",
    ],
    [
      "a network around the endpoint",
      { interfaces: [{ name: "br0", addresses: ["10.200.0.9/16"], mtu: 1500 }] },
      "cp1: endpoint.address 10.200.0.1/32 overlaps 10.200.0.9/16 on its interface br0. Choose another endpoint.address that no network of " +
        "the hosts uses.",
    ],
    [
      "a network within the services'",
      { interfaces: [{ name: "docker0", addresses: ["10.97.0.1/24"], mtu: 1500 }] },
      "cp1: network.serviceCidr 10.96.0.0/12 overlaps 10.97.0.1/24 on its interface docker0. Choose another network.serviceCidr that no network of " +
        "the hosts uses.",
    ],
    [
      "LXC's bridge, which is not Cilium's",
      { interfaces: [{ name: "lxcbr0", addresses: ["10.50.3.1/24"], mtu: 1500 }] },
      "cp1: network.podCidr 10.50.0.0/16 overlaps 10.50.3.1/24 on its interface lxcbr0. Choose another network.podCidr that no network of " +
        "the hosts uses.",
    ],
  ];
  for (const [what, facts, line] of bad) {
    it(`refuses ${what}`, () => {
      expect(networkProblems({ node: cp1, facts: goodFacts(facts) }, config)).to.deep.equal([line]);
    });
  }

  it("names each of the cluster's networks that one interface overlaps", () => {
    const facts = goodFacts(eth1("10.0.0.1/8"));
    expect(
      networkProblems({ node: w1, facts }, config).map((line) => line.split(" ").slice(0, 3).join(" ")),
    ).to.deep.equal([
      "w1: endpoint.address 10.200.0.1/32",
      "w1: network.podCidr 10.50.0.0/16",
      "w1: network.serviceCidr 10.96.0.0/12",
    ]);
  });
});

describe("preflightReport", () => {
  it("is undefined if nothing is wrong", () => {
    expect(preflightReport(all(), config)).to.equal(undefined);
  });

  it("holds every problem of every host", () => {
    expect(preflightReport(all(eth1("10.50.3.4/24"), {}, eth1("10.200.0.9/16")), config)).to.equal(
      [
        "The config does not match the hosts. No host has been changed.",
        "  - cp1: network.podCidr 10.50.0.0/16 overlaps 10.50.3.4/24 on its interface eth1. Choose another network.podCidr that no network of the hosts uses.",
        "  - cp3: endpoint.address 10.200.0.1/32 overlaps 10.200.0.9/16 on its interface eth1. Choose another endpoint.address that no network of the hosts uses.",
      ].join("\n"),
    );
  });

  it("does not stop at what is merely odd", () => {
    expect(preflightReport(all({ machineId: "same" }, { machineId: "same" }), config)).to.equal(undefined);
  });
});

describe("preflightWarnings", () => {
  it("are none where nothing is odd", () => {
    expect(preflightWarnings(all(), config)).to.deep.equal([]);
  });

  it("tell of copies of one disk image", () => {
    expect(preflightWarnings(all({ machineId: "same" }, { machineId: "same" }), config)).to.deep.equal([
      "cp1, cp2: the same machine ID same, as on copies of one disk image. Create new ones: " +
        "rm /etc/machine-id && systemd-machine-id-setup.",
    ]);
  });

  it("tell of hosts without a machine ID", () => {
    expect(preflightWarnings(all({ machineId: "" }, {}, { machineId: "" }), config)).to.deep.equal([
      "cp1, cp3: no machine ID. Create one on each: systemd-machine-id-setup.",
    ]);
  });

  it("tell of a containerd that the next Kubernetes will not take", () => {
    expect(preflightWarnings(all({ containerd: "1.6.20" }), config, "2026-11-28")).to.deep.equal([
      `cp1: containerd 1.6.20 works with Kubernetes ${config.kubernetesVersion}, but its support ended on 2025-08-23, and Kubernetes ` +
        "1.38 needs 2.x. Set kubernetes.containerdVersion, or upgrade its package.",
    ]);
    const changing = configOf({ kubernetes: { containerdVersion: "2.4.2" } });
    expect(preflightWarnings(all({ containerd: "1.6.20" }), changing, "2026-11-28"), "it goes").to.deep.equal([]);
    expect(preflightWarnings(all({ containerd: "2.2.0" }), config, "2026-11-06")).to.deep.equal([]);
    const older = configOf({ kubernetes: { version: "1.35.0" } });
    expect(preflightWarnings(all({ containerd: "1.7.28" }), older, "2026-09-30")).to.deep.equal([]);
    expect(preflightWarnings(all({ containerd: "2.2.0" }), older, "2026-11-07")).to.have.lengthOf(1);
  });
});
