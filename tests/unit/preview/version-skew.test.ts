import { expect } from "chai";
import fc from "fast-check";
import { compareVersions } from "../../../model/versions";
import { upgradeProblems } from "../../../preview/version-skew";

const nodes = ["cp1", "w1"];
const problems = (from: string, to: string) =>
  upgradeProblems({ kubernetes: from, nodes }, { kubernetes: to, cilium: "1.15.19", nodes });

const patch = fc.nat(30);
const minor = fc.integer({ min: 31, max: 60 });
const version = fc.tuple(minor, patch).map(([m, p]) => `1.${m}.${p}`);

describe("upgradeProblems", () => {
  it("has none for a cluster that is still to be made, or whose last run said nothing", () => {
    expect(upgradeProblems(undefined, { kubernetes: "1.36.3", cilium: "1.15.19", nodes })).to.deep.equal([]);
    expect(upgradeProblems({}, { kubernetes: "1.36.3", cilium: "1.15.19", nodes })).to.deep.equal([]);
  });

  it("lets a cluster go to any later patch and to any patch of the next minor", () => {
    fc.assert(
      fc.property(minor, patch, patch, (m, p, q) => {
        expect(problems(`1.${m}.${Math.min(p, q)}`, `1.${m}.${Math.max(p, q)}`)).to.deep.equal([]);
        expect(problems(`1.${m}.${p}`, `1.${m + 1}.${q}`)).to.deep.equal([]);
      }),
    );
  });

  it("refuses to skip a minor, with the way to go", () => {
    fc.assert(
      fc.property(minor, patch, patch, fc.integer({ min: 2, max: 9 }), (m, p, q, skip) => {
        const to = `1.${m + skip}.${q}`;
        const [line, ...others] = problems(`1.${m}.${p}`, to);
        expect(others).to.deep.equal([]);
        expect(line).to.equal(
          `kubernetes.version: cannot upgrade from 1.${m}.${p} to ${to}, because Kubernetes allows one minor version at a time. ` +
            `Upgrade to a 1.${m + 1} version first.`,
        );
      }),
    );
  });

  it("refuses every way back", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        fc.pre(a !== b);
        // Of two versions at most one way is open, and never the one back.
        const [older, newer] = compareVersions(a, b) < 0 ? [a, b] : [b, a];
        const [line] = problems(newer, older);
        expect(line).to.match(/^kubernetes\.version: cannot downgrade from .*\. Set .* or newer\.$/);
        expect(line).to.include(`from ${newer} to ${older}`).and.include(`Set ${newer} or newer`);
      }),
    );
  });

  it("knows a release from its pre-release", () => {
    expect(problems("1.36.0-rc.1", "1.36.0")).to.deep.equal([]);
    expect(problems("1.36.0", "1.36.0-rc.1")).to.have.lengthOf(1);
  });

  it("lets Cilium go one minor at a time, either way", () => {
    const of = (from: string, to: string) =>
      upgradeProblems({ cilium: from }, { kubernetes: "1.36.3", cilium: to, nodes });
    expect(of("1.15.6", "1.15.19")).to.deep.equal([]);
    expect(of("1.15.19", "1.16.0")).to.deep.equal([]);
    expect(of("1.16.0", "1.15.19")).to.deep.equal([]);
    expect(of("1.15.19", "1.17.2")).to.deep.equal([
      "cilium.version: cannot change from 1.15.19 to 1.17.2, because Cilium supports one minor version at a time. Change to a 1.16 version first.",
    ]);
    expect(of("1.17.2", "1.15.19")[0]).to.match(/Change to a 1\.16 version first\.$/);
  });

  it("adds no node in the run that upgrades, for it would be ahead of the API servers", () => {
    const of = (to: string, names: string[]) =>
      upgradeProblems({ kubernetes: "1.35.4", nodes }, { kubernetes: to, cilium: "1.15.19", nodes: names });
    expect(of("1.36.3", ["cp1", "w2", "w1"])).to.deep.equal([
      'nodes[1].name: "w2" cannot join while the cluster is upgraded from Kubernetes 1.35.4 to 1.36.3. ' +
        "Add this node after the upgrade.",
    ]);
    expect(of("1.35.4", ["cp1", "w1", "w2"])).to.deep.equal([]);
    expect(of("1.36.3", ["cp1"])).to.deep.equal([]);
  });
});

describe("compareVersions", () => {
  // https://semver.org, item 11.
  const sorted = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.9",
    "1.0.10",
    "1.2.0",
    "1.10.0",
    "2.0.0",
  ];

  it("orders as semantic versioning does", () => {
    fc.assert(
      fc.property(fc.nat(sorted.length - 1), fc.nat(sorted.length - 1), (i, j) => {
        expect(Math.sign(compareVersions(sorted[i]!, sorted[j]!))).to.equal(Math.sign(i - j));
      }),
    );
  });
});
