import { expect } from "chai";
import { special } from "../../../config/rules/overlapping-networks";
import { isIPv4, isNetwork, overlap, tailnetRange } from "../../../model/cidr";
import { largestNumber, numberedNetworks, numberOf } from "../../../model/cluster-number";

const numbers = Array.from({ length: largestNumber + 1 }, (_, number) => number);

/** All networks of a number, the endpoint as one of a single address. */
function networksOf(number: number): string[] {
  const { podCidr, serviceCidr, endpoint } = numberedNetworks(number);
  return [podCidr, serviceCidr, `${endpoint}/32`];
}

describe("the networks of a cluster's number", () => {
  it("are today's for 0", () => {
    expect(numberedNetworks(0)).to.deep.equal({
      podCidr: "10.50.0.0/16",
      serviceCidr: "10.96.0.0/12",
      endpoint: "10.200.0.1",
    });
  });

  it("are IPv4 networks without host bits", () => {
    for (const number of numbers) {
      for (const network of networksOf(number)) expect(isNetwork(network), network).to.equal(true);
      expect(isIPv4(numberedNetworks(number).endpoint)).to.equal(true);
    }
  });

  // All pairs there are, so no property that only samples them.
  it("share no address with each other, nor with those of any other number", () => {
    expect(numbers).to.have.lengthOf(16);
    const all = numbers.flatMap((number) => networksOf(number).map((network) => ({ number, network })));
    all.forEach((one, i) => {
      for (const other of all.slice(i + 1)) {
        const what = `${one.network} of ${one.number} and ${other.network} of ${other.number}`;
        expect(overlap(one.network, other.network), what).to.equal(false);
      }
    });
  });

  it("share none with a tailnet, with reserved ranges, and with what the docs advise for load balancers", () => {
    const others = [tailnetRange, ...special.keys(), ...numbers.map((number) => `10.201.${number}.0/24`)];
    for (const network of numbers.flatMap(networksOf)) {
      for (const other of others) expect(overlap(network, other), `${network} and ${other}`).to.equal(false);
      // Nor with its IPv6 range fd7a:115c:a1e0::/48.
      expect(network).to.not.include(":");
    }
  });

  it("say which number they are of", () => {
    for (const number of numbers) expect(numberOf(numberedNetworks(number))).to.equal(number);
    expect(numberOf({ ...numberedNetworks(1), podCidr: "10.52.0.0/16" })).to.equal(undefined);
    expect(numberOf({ ...numberedNetworks(1), endpoint: undefined })).to.equal(undefined);
  });
});
