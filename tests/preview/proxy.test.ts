/** The whole program with and without a proxy: which stages know it, and where its password is. */
import { expect } from "chai";
import { minimal } from "../unit/config/fixtures";
import { custom, find, isScript, type Run, runProgram, variablesOf } from "./program";

const password = "pa%ss@word";
const http = "http://proxy.lan:3128";
const names = (minimal.nodes as { name: string }[]).map(({ name }) => name);
const heard = (run: Run, name: string) =>
  Object.fromEntries(
    Object.entries(variablesOf(find(run, name).inputs.stdin as string)).filter(([key]) => key.startsWith("TK_PROXY")),
  );

describe("a cluster behind a proxy", function () {
  this.timeout(60_000);
  let plain: Run, run: Run;

  before(async () => {
    [plain, run] = [
      await runProgram({}),
      await runProgram({ config: { proxy: { http }, proxyCredentials: `puller:${password}` } }),
    ];
    expect([...plain.errors, ...run.errors]).to.deep.equal([]);
  });

  it("has the same resources, and without the key no script hears of a proxy", () => {
    expect(custom(run).map(({ name }) => name)).to.deep.equal(custom(plain).map(({ name }) => name));
    for (const { name, inputs } of plain.resources.filter(isScript)) {
      if (inputs.stdin !== undefined) expect(heard(plain, name), name).to.deep.equal({});
    }
  });

  it("is known to the stages that install and upgrade, and checked by the facts; to no other, but the checks run again", () => {
    const differ = plain.resources
      .filter(isScript)
      .filter(({ name, inputs }) => JSON.stringify(inputs) !== JSON.stringify(find(run, name).inputs));
    expect(differ.map(({ name }) => name)).to.have.members([
      ...names.flatMap((name) => ["facts", "tailnet", "runtime", "upgrade"].map((stage) => `${name}-${stage}`)),
      "cluster-checks",
    ]);
    expect(heard(run, "cluster-checks")).to.deep.equal({});
    for (const name of names) {
      expect(Object.keys(heard(run, `${name}-facts`))).to.deep.equal(["TK_PROXY_AUTHORIZATION"]);
      expect(Object.keys(heard(run, `${name}-runtime`))).to.deep.equal(["TK_PROXY"]);
      for (const stage of ["tailnet", "upgrade"]) {
        expect(Object.keys(heard(run, `${name}-${stage}`))).to.have.members(["TK_PROXY", "TK_PROXY_OPEN"]);
      }
    }
  });

  it("has its password in secret stdins alone, and none for tailscaled, which would log it", () => {
    const secret = encodeURIComponent(password);
    const encoded = Buffer.from(`puller:${password}`).toString("base64");
    for (const { name, inputs, secretInputs } of custom(run)) {
      const text = JSON.stringify({ ...inputs, stdin: "" });
      for (const one of [password, secret, encoded]) expect(text, name).to.not.include(one);
      if (JSON.stringify(inputs).includes("puller")) expect(secretInputs, name).to.include("stdin");
    }
    const { TK_PROXY, TK_PROXY_OPEN } = heard(run, "cp1-tailnet");
    expect(TK_PROXY).to.include(`http://puller:${secret}@proxy.lan:3128`);
    expect(TK_PROXY_OPEN).to.include("HTTPS_PROXY=http://proxy.lan:3128\n").and.to.not.include("puller");
    expect(JSON.stringify(run.outputs)).to.not.include(secret);
  });

  it("works in a LAN, where nothing but containerd has it", async () => {
    const config = {
      nodeNetwork: "lan",
      lan: { cidr: "192.0.2.0/24" },
      endpoint: { address: "192.0.2.11" },
      tailnetAuthKey: undefined,
      proxy: { http },
    };
    const facts = Object.fromEntries(
      names.map((name, i) => [
        name,
        { interfaces: [{ name: "eth0", addresses: [`192.0.2.${11 + i}/24`], mtu: 1500 }] },
      ]),
    );
    const inLan = await runProgram({ config, facts });
    expect(inLan.errors).to.deep.equal([]);
    for (const stage of ["lan", "runtime", "upgrade"]) {
      expect(Object.keys(heard(inLan, `w1-${stage}`)), stage).to.deep.equal(["TK_PROXY"]);
    }
  });
});
