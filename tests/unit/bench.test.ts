import { expect } from "chai";
import { type Figure, median, ratio, table } from "../../bench/figures";
import { difference, leaves } from "../../bench/shape";
import { foreignTicks, parseStat, type Process } from "../../bench/machine";

describe("bench: figures", () => {
  it("takes the median, of an even number between the two in the middle", () => {
    expect(median([9, 1, 5])).to.equal(5);
    expect(median([1, 10, 2, 4])).to.equal(3);
    expect(() => median([])).to.throw("no values");
  });

  it("takes ratios of medians, which one slow run does not move", () => {
    expect(ratio([3, 3, 300], [2, 2, 2])).to.equal(1.5);
  });

  it("says for each figure whether its goal is met and what it is made of", () => {
    const figure: Figure = {
      part: "up",
      name: "second up",
      value: 2.346,
      unit: "ratio",
      goal: 2,
      samples: { tailkube: [3, 2.5, 9], "empty program": [1.25] },
      sampleUnit: "s",
    };
    const lines = table([
      figure,
      { ...figure, name: "other", value: 1.98765, noisy: true, note: "by itself" },
      { ...figure, name: "failover", goal: undefined, value: 1234.5, unit: "s", samples: {} },
    ]).split("\n");
    expect(lines[0]).to.match(/^part +figure +value +goal +medians$/);
    expect(lines[1]).to.match(/^up +second up +2\.35 +≤ 2 +missed +tailkube 3 \(of 3\), empty program 1\.25 s$/);
    expect(lines[2]).to.match(/^up +other +1\.99 +≤ 2 +met, noisy +tailkube/);
    expect(lines[3]).to.match(/^up +failover +1235 s/);
    expect(lines.at(-1)).to.equal("other: by itself");
  });
});

describe("bench: other users of the machine", () => {
  it("reads what the kernel says of a process, whatever its name", () => {
    const stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 0 0";
    expect(parseStat(stat)).to.deep.equal({ pid: 42, parent: 7, ticks: 110 });
  });

  it("counts all but the kernel's, its own and its lab's", () => {
    const process = (pid: number, parent: number, ticks: number, more: Partial<Process> = {}): Process => ({
      pid,
      parent,
      ticks,
      cgroup: "0::/\n",
      program: "/usr/bin/x",
      ...more,
    });
    const all = [
      process(1, 0, 1),
      process(2, 0, 10),
      process(3, 2, 10),
      process(10, 1, 100),
      process(11, 10, 100),
      process(20, 1, 1000, { cgroup: "3:cpu:/tailkube-lab/cp1/x\n" }),
      process(30, 1, 1000, { program: "/root/.cache/tailkube/tailnet-0123456789ab" }),
      process(40, 1, 10000),
    ];
    expect(foreignTicks(all, 10, true)).to.equal(10001);
    // Somebody else's lab is in the way like anything else.
    expect(foreignTicks(all, 10, false)).to.equal(12001);
  });
});

describe("bench: shapes of clusters", () => {
  it("are a line for each leaf, kubeadm's arguments by their names", () => {
    const configuration = {
      apiServer: { extraArgs: [{ name: "profiling", value: "false" }], certSANs: ["a", "b"] },
      etcd: { local: { dataDir: "/var/lib/etcd" } },
      none: null,
    };
    expect(leaves(configuration)).to.deep.equal([
      "apiServer.extraArgs.profiling=false",
      "apiServer.certSANs.0=a",
      "apiServer.certSANs.1=b",
      "etcd.local.dataDir=/var/lib/etcd",
      "none=null",
    ]);
  });

  it("differ in what only one of them has", () => {
    expect(difference("a\nb", "b\na")).to.equal(undefined);
    expect(difference("a\nb=1", "a\nb=2")).to.equal("the two clusters differ: b=1; b=2");
  });
});
