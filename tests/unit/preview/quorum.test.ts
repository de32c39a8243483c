import { expect } from "chai";
import { memberProblems } from "../../../preview/members";
import { configOf, minimal } from "../config/fixtures";
import { afterRunOf } from "../fixtures";

type Node = { name: string; role: string; host: Record<string, unknown> };
/** What becomes of a control plane in a run; `joins` was none before. */
type Change = "stays" | "replaced" | "removed" | "joins";

const worker = (minimal.nodes as Node[])[3]!;
const plane = (i: number, identity?: string): Node => ({
  name: `cp${i + 1}`,
  role: "control-plane",
  host: { address: `192.0.2.${11 + i}`, ...(identity !== undefined && { identity }) },
});

/** The problems of a run from the last one's control planes to the declared ones. */
function problemsOf(changes: readonly Change[], more: Record<string, unknown> = {}): string[] {
  const before = changes.flatMap((change, i) => (change === "joins" ? [] : [plane(i)]));
  const after = changes.flatMap((change, i) =>
    change === "removed" ? [] : [plane(i, change === "replaced" ? "2" : undefined)],
  );
  return memberProblems(
    configOf({ ...more, nodes: [...after, worker] }),
    afterRunOf(configOf({ nodes: [...before, worker] })),
  );
}

/**
 * etcd in such a run, in the program's order: old machines of replaced nodes are cleaned at once; each control plane joins after
 * its former member is out of etcd; removed ones leave last. Returns what goes wrong first; undefined if nothing does.
 */
function firstFault(changes: readonly Change[]): string | undefined {
  const members = new Map<number, boolean>(
    changes.flatMap((change, i) => (change === "joins" ? [] : [[i, true] as const])),
  );
  const faults: string[] = [];
  const step = (what: string, act?: () => void) => {
    const alive = [...members.values()].filter(Boolean).length;
    if (alive < Math.floor(members.size / 2) + 1) faults.push(`no majority ${what}: ${alive} of ${members.size}`);
    act?.();
  };
  changes.forEach((change, i) => change === "replaced" && members.set(i, false));
  step("after the machines were cleaned");
  changes.forEach((change, i) => {
    if (change !== "replaced" && change !== "joins") return;
    if (members.has(i)) step(`for the removal of ${i}'s former member`, () => members.delete(i));
    if ([...members.values()].includes(false)) faults.push(`${i} cannot join: a member does not answer`);
    step(`for the join of ${i}`, () => members.set(i, true));
  });
  changes.forEach((change, i) => change === "removed" && step(`for the removal of ${i}`, () => members.delete(i)));
  if (members.size > 0) step("at the end");
  return faults[0];
}

/** Every change of one to five control planes, with up to two that join. */
function* allChanges(): Generator<Change[]> {
  for (let count = 1; count <= 5; count++) {
    for (let code = 0; code < 3 ** count; code++) {
      const changes = Array.from(
        { length: count },
        (_, i) => (["stays", "replaced", "removed"] as const)[Math.floor(code / 3 ** i) % 3]!,
      );
      for (let joins = 0; joins <= 2; joins++) {
        const all: Change[] = [...changes, ...Array<Change>(joins).fill("joins")];
        if (all.some((change) => change !== "removed")) yield all;
      }
    }
  }
}

describe("changes of the control planes", () => {
  it("that the preview accepts keep a majority of etcd's members at each step of the run", () => {
    let accepted = 0;
    for (const changes of allChanges()) {
      if (problemsOf(changes).length > 0) continue;
      accepted++;
      expect(firstFault(changes), changes.join()).to.equal(undefined);
    }
    expect(accepted).to.be.above(50);
  });

  it("that surely break etcd are refused, and so is the loss of a majority in one run", () => {
    for (const changes of allChanges()) {
      const former = changes.filter((change) => change !== "joins");
      const lost = former.filter((change) => change !== "stays").length;
      const isMajority = lost >= Math.floor(former.length / 2) + 1;
      const isRefused = problemsOf(changes).length > 0;
      expect(isRefused, changes.join()).to.equal(isMajority || firstFault(changes) !== undefined);
    }
  });

  it("that are refused come with an order that works", () => {
    const rest = "If they are lost already, see docs/operate/disaster.md.";
    expect(problemsOf(["replaced", "replaced", "stays"])).to.deep.equal([
      "nodes: this run would replace cp1 and cp2, but etcd always needs 2 of its 3 members (cp1, cp2 and cp3). One run may replace one " +
        "control plane, and replace or remove fewer than 2. Replace cp1 and run pulumi up, then cp2, each in a separate run. " +
        rest,
    ]);
    expect(problemsOf(["stays", "removed", "removed"])[0]).to.include(
      "would remove cp2 and cp3, but etcd always needs 2 of its 3 members",
    );
    expect(problemsOf(["stays", "replaced"])).to.deep.equal([
      "nodes: this run would replace cp2, but etcd always needs 2 of its 2 members (cp1 and cp2). One run may replace one " +
        "control plane, and replace or remove fewer than 2. Add a third control plane and run pulumi up, then replace cp2. " +
        rest,
    ]);
    expect(problemsOf(["removed", "joins"])[0]).to.include(
      "Add a second control plane and run pulumi up, then remove cp1. ",
    );
    expect(problemsOf(["replaced", "replaced", "stays", "stays", "stays"])[0]).to.include(
      "Replace cp1 and run pulumi up, then cp2, each in a separate run.",
    );
    expect(problemsOf(["stays", "replaced", "removed"])[0]).to.include("would replace or remove cp2 and cp3");
  });

  it("may take one of two away while both run, and one of three", () => {
    for (const changes of [
      ["stays", "removed"],
      ["stays", "stays", "removed"],
      ["replaced", "stays", "stays"],
    ] as const) {
      expect(problemsOf(changes), changes.join()).to.deep.equal([]);
    }
  });
});

describe("restoreSnapshot", () => {
  const restoring = { kubernetes: { restoreSnapshot: "/root/one.db" } };

  it("is refused while a control plane of the cluster stays", () => {
    for (const changes of [["stays"], ["stays", "stays", "stays"], ["replaced", "replaced", "stays"]] as const) {
      const [first] = problemsOf(changes, restoring);
      expect(first, changes.join()).to.match(
        /^kubernetes\.restoreSnapshot: "\/root\/one\.db" cannot be set while the cluster has control planes \([^)]*\bcp\d\)\. Remove it: pulumi config rm --path tailkube:kubernetes\.restoreSnapshot\./,
      );
    }
  });

  it("is allowed for a cluster that is new, or has lost all of them", () => {
    expect(memberProblems(configOf(restoring), undefined)).to.deep.equal([]);
    for (const changes of [
      ["replaced"],
      ["replaced", "replaced", "replaced"],
      ["removed", "removed", "joins"],
    ] as const) {
      expect(problemsOf(changes, restoring), changes.join()).to.deep.equal([]);
    }
  });
});
