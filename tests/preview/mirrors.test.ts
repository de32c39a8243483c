import { expect } from "chai";
import { custom, find, type Run, runProgram } from "./program";

/** Mirrors are for hosts and for Cilium's installation; the password of a registry is for the hosts' stdin alone. */
describe("with mirrors", function () {
  this.timeout(60_000);
  const password = "registry-password";
  const encoded = Buffer.from(`puller:${password}`).toString("base64");
  let run: Run;

  before(async () => {
    run = await runProgram({
      config: {
        mirrors: {
          packages: { kubernetes: { url: "https://mirror.lan/k8s" }, tailscale: { url: "https://mirror.lan/ts" } },
          registries: [{ name: "registry.k8s.io", endpoints: ["https://mirror.lan/v2/registry.k8s.io"] }],
          charts: { url: "https://mirror.lan/charts" },
        },
        registryCredentials: `mirror.lan puller:${password}`,
      },
    });
    expect(run.errors).to.deep.equal([]);
  });

  it("hosts know where packages and images are, when they are set up and when they are upgraded", () => {
    for (const name of ["cp1-runtime", "w1-runtime", "cp1-upgrade", "w1-upgrade"]) {
      expect(find(run, name).inputs.stdin, name).to.include("https://mirror.lan/k8s").and.to.include("certs.d");
    }
    for (const name of ["cp1-tailnet", "w1-tailnet", "cp1-upgrade", "w1-upgrade"]) {
      expect(find(run, name).inputs.stdin, name).to.include("https://mirror.lan/ts");
    }
  });

  it("a registry's password is in no input but the secret stdin of the stage that writes its file", () => {
    const holders = custom(run).filter(({ inputs }) => {
      const text = JSON.stringify(inputs);
      expect(text).to.not.include(password);
      // It is in a line of base64, in a file of base64.
      return [encoded, Buffer.from(`Basic ${encoded}`).toString("base64")].some((one) => text.includes(one));
    });
    expect(holders.map(({ name }) => name)).to.have.members(
      ["cp1", "cp2", "cp3", "w1"].map((name) => `${name}-runtime`),
    );
    for (const { name, inputs, secretInputs } of holders) {
      expect(secretInputs, name).to.include("stdin");
      expect(JSON.stringify({ ...inputs, stdin: "" }), name).to.not.include(encoded);
    }
  });

  it("Cilium's chart comes from there", () => {
    expect(find(run, "cilium-release").inputs.repositoryOpts).to.deep.equal({ repo: "https://mirror.lan/charts" });
  });
});
