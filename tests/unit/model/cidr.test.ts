import { expect } from "chai";
import fc from "fast-check";
import {
  contains,
  hostNetwork,
  isBeyondIPv4,
  isIPv4,
  isNetwork,
  networkOf,
  overlap,
  subnetCount,
} from "../../../model/cidr";

const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join("."));
const prefix = fc.integer({ min: 0, max: 32 });
const network = fc.tuple(address, prefix).map(([a, p]) => networkOf(`${a}/${p}`) as string);

/** The numbers of the first and the last address: an independent way to the same answers. */
function range(text: string): [number, number] {
  const [start = "", length = "32"] = text.split("/");
  const first = start.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return [first, first + 2 ** (32 - Number(length)) - 1];
}

describe("cidr", () => {
  it("agrees with plain numbers on what overlaps and what contains", () => {
    fc.assert(
      fc.property(network, network, (a, b) => {
        const [[a0, a1], [b0, b1]] = [range(a), range(b)];
        expect(overlap(a, b)).to.equal(a0 <= b1 && b0 <= a1);
        expect(contains(a, b)).to.equal(a0 <= b0 && b1 <= a1);
      }),
    );
  });

  it("says the same of overlap in both directions, and of a part of a network", () => {
    fc.assert(
      fc.property(network, network, (a, b) => {
        expect(overlap(a, b)).to.equal(overlap(b, a));
        expect(overlap(a, b)).to.equal(contains(a, b) || contains(b, a));
        expect(contains(a, a)).to.equal(true);
      }),
    );
  });

  it("puts an address into its network, once", () => {
    fc.assert(
      fc.property(address, prefix, (a, p) => {
        const own = networkOf(`${a}/${p}`) as string;
        expect(contains(own, a)).to.equal(true);
        expect(isNetwork(own)).to.equal(true);
        expect(networkOf(own)).to.equal(own);
      }),
    );
  });

  it("counts the networks of nodes in the network of all pods", () => {
    expect(subnetCount("10.50.0.0/16", 24)).to.equal(256);
    expect(subnetCount("10.50.0.0/24", 24)).to.equal(1);
    expect(subnetCount("10.50.0.0/25", 24)).to.equal(0);
  });

  for (const wrong of ["", "10.0.0", "10.0.0.256", "010.0.0.1x", "0x0a.0.0.1", "10.0.0.0/33", "::1/64", "fd00::/8"]) {
    it(`takes ${JSON.stringify(wrong)} for neither an address nor a network`, () => {
      expect(isIPv4(wrong)).to.equal(false);
      expect(isNetwork(wrong)).to.equal(false);
      expect(networkOf(wrong)).to.equal(undefined);
      expect(() => hostNetwork(wrong)).to.throw("is not an IPv4 address");
    });
  }

  it("knows what is meant for IPv6 or for both families, and nothing else", () => {
    const meant = [
      ...["fd7a:115c:a1e0::1", "::1", "::/0", "fd00:50::/56", "[fd00::1]", "fe80::1", "::ffff:10.0.0.1"],
      ...[
        "10.50.0.0/16,fd00:50::/56",
        "fd00:50::/56, 10.50.0.0/16",
        "10.0.0.1,10.0.0.2",
        "10.50.0.0/16,",
        "10.0.0.1,x",
      ],
    ];
    for (const text of meant) expect(isBeyondIPv4(text), text).to.equal(true);
    expect(isBeyondIPv4(["10.50.0.0/16", "fd00:50::/56"])).to.equal(true);
    expect(isBeyondIPv4(["fd00:50::/56"])).to.equal(true);
    for (const other of [
      "",
      "x",
      "10.0.0.1",
      "10.0.0.0/33",
      "10.0.0.1:22",
      "k8s.example.com:6443",
      "a,b",
      "::x",
      "tag:k8s",
    ]) {
      expect(isBeyondIPv4(other), other).to.equal(false);
    }
    for (const other of [undefined, 7, true, {}, [], ["10.50.0.0/16"]]) expect(isBeyondIPv4(other)).to.equal(false);
    fc.assert(fc.property(network, (one) => !isBeyondIPv4(one) && !isBeyondIPv4(one.split("/")[0])));
  });

  it("does not take a network with host bits for one", () => {
    expect(isNetwork("10.0.2.15/24")).to.equal(false);
    expect(networkOf("10.0.2.15/24")).to.equal("10.0.2.0/24");
  });
});
