/** The whole program with and without Hubble: what differs, and that nothing else does. */
import { expect } from "chai";
import { scriptText } from "../../components/hosts/script-text";
import { custom, find, isScript, type Run, runProgram, variablesOf } from "./program";

const scripts = ({ resources }: Run) => resources.filter(isScript);

describe("a cluster with Hubble", () => {
  it("differs in Cilium's values and in the checks alone, which note the option for their command", async () => {
    const [plain, run] = [await runProgram({}), await runProgram({ config: { hubble: { relay: true, ui: true } } })];
    expect([...plain.errors, ...run.errors]).to.deep.equal([]);
    expect(custom(run).map(({ name }) => name)).to.deep.equal(custom(plain).map(({ name }) => name));
    // finalize waits for a release that has changed.
    const differ = scripts(run).filter(
      (script) => JSON.stringify(script.inputs) !== JSON.stringify(find(plain, script.name).inputs),
    );
    expect(differ.map(({ name }) => name)).to.have.members(["cluster-finalize", "cluster-checks"]);
    const variables = variablesOf(find(run, "cluster-checks").inputs.stdin as string);
    expect(variables).to.include({ TK_HUBBLE: "relay ui" });
    expect(variables.TK_CHECK_VALUES!.split(" ")).to.include("TK_HUBBLE");
    const before = variablesOf(find(plain, "cluster-checks").inputs.stdin as string);
    expect(before).to.not.have.property("TK_HUBBLE");
    expect(Object.keys(variables).filter((name) => variables[name] !== before[name])).to.have.members([
      "TK_HUBBLE",
      "TK_CHECK_VALUES",
      "TK_RELEASE",
    ]);
    expect(find(run, "cilium-release").inputs.values).to.have.nested.property("hubble.ui.enabled", true);
    expect(find(plain, "cilium-release").inputs.values).to.not.have.property("hubble");
  });

  it("gives the checks every variable of Hubble's that they read", async () => {
    const run = await runProgram({ config: { hubble: { relay: true } } });
    const text = scriptText("lib/checks/hubble.sh").replace(/^\s*#.*$/gm, "");
    const read = [...text.matchAll(/\$\{?(TK_[A-Z0-9_]+)/g)].map(([, one]) => one!);
    const given = Object.keys(variablesOf(find(run, "cluster-checks").inputs.stdin as string));
    expect(read).to.include("TK_HUBBLE");
    // lib/base.sh has this one.
    expect(read.filter((one) => !given.includes(one) && one !== "TK_RUN")).to.deep.equal([]);
  });
});
