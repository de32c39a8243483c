import { expect } from "chai";
import { sharedAddresses } from "../../../../../components/network/tailnet/addresses";

const of = (...addresses: string[]) => addresses.map((address, i) => ({ node: `n${i + 1}`, address }));

describe("the nodes' addresses in the tailnet", () => {
  it("are fit where each is of one node, or not known", () => {
    expect(sharedAddresses(of("100.64.0.1", "100.64.0.2", "", ""))).to.equal(undefined);
  });

  it("name the nodes that share one, a line each, and the cure", () => {
    const lines = sharedAddresses(of("100.64.0.1", "100.64.0.2", "100.64.0.1", "100.64.0.2", "100.64.0.3"))!.split(
      "\n",
    );
    expect(lines).to.have.lengthOf(2);
    expect(lines[0]).to.match(
      /^n1, n3: they share the tailnet address 100\.64\.0\.1, .*rm \/var\/lib\/tailscale\/tailscaled\.state/,
    );
    expect(lines[1]).to.match(/^n2, n4: .* change host\.identity/);
  });
});
