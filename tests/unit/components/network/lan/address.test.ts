import { expect } from "chai";
import * as fc from "fast-check";
import { hostAddresses, isInterfacePattern, matches } from "../../../../../components/hosts/interfaces";
import { lanAddress, lanProblems, lanUnderlay } from "../../../../../components/network/lan/address";
import type { HostFacts } from "../../../../../components/hosts/facts";
import { configOf, goodFacts } from "../../../config/fixtures";

type Nics = HostFacts["interfaces"];

/** A virtual machine's: the NAT comes first and is the same everywhere. */
const machine = (last: number, changes: Partial<Nics[number]> = {}): Nics => [
  { name: "lo", addresses: ["127.0.0.1/8"], mtu: 65536 },
  { name: "eth0", addresses: ["10.0.2.15/24"], mtu: 1500 },
  { name: "eth1", addresses: [`172.31.77.${last}/24`, "fe80::1/64"], mtu: 1500, ...changes },
];

const lan = (changes: Record<string, unknown> = {}) =>
  configOf({ nodeNetwork: "lan", lan: { cidr: "172.31.77.0/24" }, endpoint: { address: "172.31.77.11" }, ...changes });

/** Four such machines as cp1, cp2, cp3 and w1, of which some differ. */
function hosts(config = lan(), ...nics: (Nics | undefined)[]) {
  return config.nodes.map((node, i) => ({
    node,
    facts: goodFacts({ interfaces: nics[i] ?? machine([11, 12, 13, 21][i]!) }),
  }));
}

const addressOf = (config: ReturnType<typeof lan>, nics: Nics) => lanAddress(hosts(config, nics)[0]!, config);

describe("the node IP in a lan", () => {
  it("is the one in the network, wherever its interface comes", () => {
    expect(addressOf(lan(), machine(11))).to.deep.equal({
      address: "172.31.77.11",
      network: "172.31.77.0/24",
      interface: "eth1",
      mtu: 1500,
      device: "eth1",
    });
    expect(addressOf(lan(), [...machine(11)].reverse())?.address).to.equal("172.31.77.11");
  });

  it("is the one of the interface, by name or by how it begins", () => {
    const nics: Nics = [
      { name: "eno1", addresses: ["192.0.2.11/24"], mtu: 1500 },
      { name: "enp3s0", addresses: ["172.31.77.11/24"], mtu: 9000 },
    ];
    for (const nodeInterface of ["enp3s0", "enp+"]) {
      const found = addressOf(lan({ lan: { cidr: undefined, interface: nodeInterface } }), nics);
      expect(found).to.include({ address: "172.31.77.11", mtu: 9000, device: nodeInterface });
    }
    expect(addressOf(lan({ lan: { cidr: undefined, interface: "en+" } }), nics)).to.equal(undefined);
    // Both together; and Cilium is not given a pattern that means another interface, too.
    expect(addressOf(lan({ lan: { cidr: "172.31.77.0/24", interface: "en+" } }), nics)).to.include({
      interface: "enp3s0",
      device: "enp3s0",
    });
  });

  it("is what a node says for itself, whatever is said for all", () => {
    const own = (node: object) =>
      lan({ nodes: [{ name: "cp1", role: "control-plane", host: { address: "192.0.2.11" }, ...node }] });
    expect(addressOf(own({ nodeIp: "10.0.2.15" }), machine(11))?.interface).to.equal("eth0");
    expect(addressOf(own({ nodeInterface: "eth0" }), machine(11))?.address).to.equal("10.0.2.15");
  });

  it("is never the balancer's, unless there is no other", () => {
    const nics = machine(11, { addresses: ["172.31.77.11/24", "172.31.77.100/24"] });
    expect(addressOf(lan({ endpoint: { address: "172.31.77.100" } }), nics)?.address).to.equal("172.31.77.11");
    expect(addressOf(lan({ endpoint: { address: "172.31.77.11" } }), machine(11))?.address).to.equal("172.31.77.11");
  });

  it("is none of the cluster's own, of the loopback or of link-local use", () => {
    const nics: Nics = ["lo", "cilium_host", "lxc4f2a0b1c2d3e", "tailscale0", "eth9"].map((name) => ({
      name,
      addresses: [name === "eth9" ? "169.254.3.4/16" : "172.31.77.11/24"],
      mtu: 1500,
    }));
    expect(hostAddresses(nics)).to.deep.equal([]);
  });
});

describe("hosts that a lan does not fit", () => {
  const problems = (nics: (Nics | undefined)[], changes: Record<string, unknown> = {}) => {
    const config = lan(changes);
    return lanProblems(hosts(config, ...nics), config);
  };

  it("are none where all is well", () => {
    expect(problems([])).to.deep.equal([]);
    expect(problems([], { network: { podRouting: "native" } })).to.deep.equal([]);
  });

  const cases: [string, (Nics | undefined)[], Record<string, unknown>, RegExp][] = [
    [
      "no address",
      [undefined, machine(12, { addresses: ["172.31.78.12/24"] })],
      {},
      /^cp2: none of its addresses is in lan\.cidr 172\.31\.77\.0\/24; it has 10\.0\.2\.15 on eth0, 172\.31\.78\.12 on eth1\. Correct that, or set the node's nodeIp to the right address\.$/,
    ],
    [
      "more than one",
      [machine(11, { addresses: ["172.31.77.14/24", "172.31.77.15/24"] })],
      {},
      /^cp1: several of its addresses are in lan\.cidr 172\.31\.77\.0\/24: 172\.31\.77\.14 on eth1, 172\.31\.77\.15 on eth1\./,
    ],
    [
      "a small MTU",
      [undefined, undefined, undefined, machine(21, { mtu: 1200 })],
      {},
      /^w1: the MTU of eth1 is 1200 bytes; at least 1280 is required\./,
    ],
    [
      "a worker at the endpoint",
      [],
      { endpoint: { address: "172.31.77.21" } },
      /^w1: endpoint\.address 172\.31\.77\.21 is its address/,
    ],
    [
      "another network segment, with routed pods",
      [undefined, undefined, undefined, machine(0, { addresses: ["172.31.76.5/25"] })],
      { lan: { cidr: "172.31.76.0/23" }, network: { podRouting: "native" } },
      /^w1: its address 172\.31\.76\.5 is in 172\.31\.76\.0\/25, but that of cp1 is in 172\.31\.77\.0\/24\. network\.podRouting native requires/,
    ],
  ];
  for (const [what, nics, changes, line] of cases) {
    it(`are named: ${what}`, () => {
      const found = problems(nics, changes);
      expect(found).to.have.lengthOf(1);
      expect(found[0]).to.match(line);
    });
  }

  it("are named: the NAT of virtual machines, with the same address everywhere", () => {
    const found = problems([], {
      lan: { cidr: undefined, interface: "eth0" },
      endpoint: { address: "lan.example.com" },
    });
    // Each with each other before it.
    expect(found).to.have.lengthOf(6);
    expect(found[0]).to.match(
      /^cp2: eth0 has the address 10\.0\.2\.15, like eth0 of cp1, as on virtual machines behind NAT/,
    );
  });
});

describe("the underlay of a lan", () => {
  it("is the interfaces by name, each once, and the smallest MTU", () => {
    const config = lan();
    const other: Nics = [{ name: "enp3s0", addresses: ["172.31.77.21/24"], mtu: 9000 }];
    expect(lanUnderlay(hosts(config, undefined, undefined, undefined, other), config)).to.deep.equal({
      devices: ["enp3s0", "eth1"],
      mtu: 1500,
    });
  });
});

describe("a pattern of interfaces", () => {
  it("means a name, or all that begin so", () => {
    expect([
      matches("eth1", "eth1"),
      matches("eth1", "eth10"),
      matches("eth+", "eth10"),
      matches("eth+", "ens1"),
    ]).to.deep.equal([true, false, true, false]);
  });

  it("is accepted for every name that the kernel takes of common characters, and for each of its beginnings", () => {
    const name = fc.string({ unit: fc.constantFrom(..."abcxyz0189_.-@"), minLength: 1, maxLength: 15 });
    fc.assert(
      fc.property(name, fc.nat(14), (text, cut) => {
        const beginning = `${text.slice(0, Math.min(cut, text.length - 1) + 1)}+`;
        expect([isInterfacePattern(text), isInterfacePattern(beginning)]).to.deep.equal([true, true]);
        expect(matches(beginning, text)).to.equal(true);
      }),
    );
    for (const text of ["", "+", "eth 1", "eth*", "eth1,eth2", "a".repeat(16)]) {
      expect(isInterfacePattern(text), text).to.equal(false);
    }
  });
});
