import { expect } from "chai";
import fc from "fast-check";
import type { ClusterConfig } from "../../../model/config";
import { byId, orderOf, type OrderedStep, waitsFor } from "../../../model/order";

const drawn = fc.record({
  name: fc.constantFrom("a", "b", "c", "d", "e", "f"),
  role: fc.constantFrom("control-plane", "worker"),
  host: fc.record({ kind: fc.constantFrom("ssh", "ec2") }),
});
const lists = fc
  .uniqueArray(drawn, { minLength: 1, maxLength: 6, selector: ({ name }) => name })
  .filter((all) => all.some(({ role }) => role === "control-plane"));
const networks = fc.constantFrom("tailnet", "lan");

describe("the order of a run", () => {
  const forAll = (check: (order: OrderedStep[]) => void) =>
    fc.assert(
      fc.property(lists, networks, fc.nat(3), fc.subarray(["x", "y", "z"]), (nodes, nodeNetwork, more, removed) => {
        // What the order looks at, of a config.
        const config = { nodes, nodeNetwork, maxUnavailableWorkers: more + 1 } as unknown as ClusterConfig;
        check(
          orderOf(
            config,
            removed.map((name) => ({ name, end: `${name}-end` })),
          ),
        );
      }),
      { numRuns: 200 },
    );

  it("has each step once, after those that it waits for", () => {
    forAll((order) => {
      const seen = new Set<string>();
      for (const { id, after } of order) {
        expect(
          after.filter((one) => !seen.has(one)),
          id,
        ).to.deep.equal([]);
        expect(seen.has(id), id).to.equal(false);
        seen.add(id);
      }
    });
  });

  it("has one step of a kind for each node, or for the cluster", () => {
    forAll((order) => {
      const named = order.map(({ kind, node }) => `${kind} ${node}`);
      expect(named).to.have.lengthOf(new Set(named).size);
    });
  });

  it("ends in the checks, the watch for a destroy and the removed hosts: all else is done before", () => {
    forAll((order) => {
      const ordered = byId(order);
      const waitedFor = new Set(order.flatMap(({ after }) => after));
      // What does nothing until its node goes is waited for by nothing.
      const last = order.filter(({ id, kind }) => !waitedFor.has(id) && kind !== "device").map(({ kind }) => kind);
      const hasRemoved = last.includes("end");
      expect(new Set(last)).to.deep.equal(new Set(["online", hasRemoved ? "end" : "checks"]));
      const finalize = order.find(({ kind }) => kind === "finalize")!;
      const before = new Set<string>();
      const visit = (id: string) => ordered.get(id)!.after.forEach((one) => before.has(one) || visitNew(one));
      const visitNew = (id: string) => (before.add(id), visit(id));
      visit(finalize.id);
      const later = order.filter(({ id }) => !before.has(id)).map(({ kind }) => kind);
      expect(later).to.have.members([
        ...["finalize", "online", "checks"],
        ...order.filter(({ kind }) => ["device", "end"].includes(kind)).map(({ kind }) => kind),
      ]);
    });
  });
});

describe("what a step waits for", () => {
  const step = (id: string, ...after: string[]): OrderedStep => ({ kind: "facts", node: undefined, id, after });
  const order = byId([step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"), step("e", "d", "b")]);
  const waits = (id: string, ...there: string[]) => waitsFor(order.get(id)!, order, (one) => there.includes(one));

  it("are the steps before it", () => {
    expect(waits("e", "a", "b", "c", "d")).to.deep.equal(["d", "b"]);
    expect(waits("a")).to.deep.equal([]);
  });

  it("passes through those that there are not, each once", () => {
    expect(waits("e", "a", "b", "c")).to.deep.equal(["b", "c"]);
    expect(waits("e", "a", "b")).to.deep.equal(["b", "a"]);
    expect(waits("e", "a")).to.deep.equal(["a"]);
    expect(waits("e")).to.deep.equal([]);
  });
});
