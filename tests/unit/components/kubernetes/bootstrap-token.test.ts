import { expect } from "chai";
import fc from "fast-check";
import { bootstrapToken, joinToken } from "../../../../components/kubernetes/bootstrap-token";

const seed = fc.string({ minLength: 16 });

describe("bootstrap tokens", () => {
  it("have the form that kubeadm wants", () => {
    fc.assert(
      fc.property(seed, fc.string(), (s, purpose) => {
        expect(bootstrapToken(s, purpose)).to.match(/^[a-z0-9]{6}\.[a-z0-9]{16}$/);
      }),
    );
  });

  it("are the same each time, and others for another seed or purpose", () => {
    fc.assert(
      fc.property(seed, seed, fc.string(), fc.string(), (s, t, p, q) => {
        fc.pre(s !== t && p !== q);
        expect(bootstrapToken(s, p)).to.equal(bootstrapToken(s, p));
        const all = [bootstrapToken(s, p), bootstrapToken(s, q), bootstrapToken(t, p), bootstrapToken(t, q)];
        expect(new Set(all)).to.have.property("size", 4);
      }),
    );
  });

  it("do not hold the seed", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]{6,16}$/), fc.string(), (s, purpose) => {
        expect(bootstrapToken(s, purpose)).to.not.contain(s);
      }),
    );
  });

  it("use every character about as often as any other", () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 2000; i++) {
      for (const character of bootstrapToken("a seed for statistics", String(i)).replace(".", "")) {
        counts.set(character, (counts.get(character) ?? 0) + 1);
      }
    }
    const expected = (2000 * 22) / 36;
    expect(counts.size).to.equal(36);
    // Chi-squared with 35 degrees of freedom is above 67 once in a thousand; the numbers are the same in every run.
    const chi = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(chi).to.be.below(67);
  });

  it("stay what they are: a new version of the program must not mint others in the middle of a join", () => {
    expect(bootstrapToken("0123456789abcdef", "join cp2")).to.equal("rl4i9r.c3pcuyucd1obz8do");
  });

  it("need a seed", () => {
    expect(() => bootstrapToken("", "x")).to.throw("seed");
  });
});

describe("workers' tokens", () => {
  const joiner = fc.record({ name: fc.string(), membershipId: fc.string(), nonce: fc.string() });

  it("are different for another worker, another machine and another admission", () => {
    fc.assert(
      fc.property(seed, joiner, joiner, (s, a, b) => {
        fc.pre(a.name !== b.name || a.membershipId !== b.membershipId || a.nonce !== b.nonce);
        expect(joinToken(s, a)).to.not.equal(joinToken(s, b));
        expect(joinToken(s, a)).to.equal(joinToken(s, { ...a }));
      }),
    );
  });

  it("do not depend on where one part ends and the next begins", () => {
    const tokens = [
      { name: "w1", membershipId: "a", nonce: "b" },
      { name: "w1a", membershipId: "", nonce: "b" },
      { name: "w1", membershipId: "ab", nonce: "" },
      { name: 'w1","a', membershipId: "", nonce: "b" },
    ].map((one) => joinToken("0123456789abcdef", one));
    expect(new Set(tokens)).to.have.property("size", 4);
  });
});
