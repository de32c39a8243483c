import { expect } from "chai";
import type { HostFacts } from "../../../../../components/hosts/facts";
import { vipProblems } from "../../../../../components/network/lan/vip";
import { configOf, goodFacts } from "../../../config/fixtures";

const address = "172.31.77.10";
const config = configOf({
  nodeNetwork: "lan",
  lan: { interface: "eth1" },
  endpoint: { address, kind: "vip" },
  tailnetAuthKey: undefined,
});
const macs = ["52:54:00:4d:1f:0b", "52:54:00:4d:1f:0c", "52:54:00:4d:1f:0d", "52:54:00:4d:1f:15"];

/** cp1, cp2, cp3 and w1 on one segment; some differ. */
function hosts(changes: Record<number, Partial<HostFacts>> = {}) {
  return config.nodes.map((node, i) => ({
    node,
    facts: goodFacts({
      membership: "",
      interfaces: [{ name: "eth1", addresses: [`172.31.77.1${i}/24`.replace(".10/", ".21/")], mtu: 1500 }],
      macs: ["52:54:00:12:34:56", macs[i]!],
      endpointMac: "",
      ...changes[i],
    }),
  }));
}
const on = (...addresses: string[]) => ({ interfaces: [{ name: "eth1", addresses, mtu: 1500 }] });

describe("a virtual IP on the hosts' network", () => {
  it("is in order where no device has it, and where a host of the cluster has", () => {
    expect(vipProblems(hosts(), config)).to.deep.equal([]);
    // A killed init has left it on cp1.
    const left = { 0: on("172.31.77.11/24", `${address}/32`), 2: { endpointMac: macs[0]! } };
    expect(vipProblems(hosts(left), config)).to.deep.equal([]);
  });

  it("names the MAC address of a device that has it already, and who sees that", () => {
    const stranger = "02:00:00:00:00:99";
    expect(vipProblems(hosts({ 1: { endpointMac: stranger }, 3: { endpointMac: stranger } }), config)).to.deep.equal([
      `endpoint.address: ${address} already belongs to another device on the network of cp2 and w1, with the MAC address ${stranger}. ` +
        "Choose an address that no device has and that the network's DHCP server does not assign, or stop that device's use of it.",
    ]);
    // A cluster that runs has it itself, perhaps with a network card that is newer than its facts.
    const running = { 0: { membership: "m1" }, 3: { endpointMac: stranger } };
    expect(vipProblems(hosts(running), config)).to.deep.equal([]);
  });

  it("is no address that a host has as its own", () => {
    expect(vipProblems(hosts({ 3: on("172.31.77.21/24", `${address}/24`) }), config)).to.deep.equal([
      `w1: endpoint.address ${address} is already its own address on eth1. With endpoint.kind vip, choose an address that no host has.`,
    ]);
  });

  it("is on the segment of all control planes, and workers may be elsewhere", () => {
    const found = vipProblems(hosts({ 1: on("172.31.78.12/24"), 3: on("172.31.79.21/24") }), config);
    expect(found).to.have.lengthOf(1);
    expect(found[0]).to.match(
      /^cp2: endpoint\.address 172\.31\.77\.10 is not in 172\.31\.78\.0\/24, .* one network segment\.$/,
    );
  });

  it("says nothing of another kind of endpoint", () => {
    const external = { endpoint: { address, port: 6443 } };
    expect(vipProblems(hosts({ 3: { endpointMac: "02:00:00:00:00:99" } }), external)).to.deep.equal([]);
  });
});
