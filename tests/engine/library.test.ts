/** The package in projects of its users, by the engine of the lab, as far as that goes without hosts. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { installPackage } from "../packed";
import { authKey, privateKey } from "../unit/config/fixtures";
import { root, Stack, temporaryFolder } from "./cli";

describe("the package by the engine", function () {
  this.timeout(600_000);
  const project = temporaryFolder();

  before(() => void installPackage(project));

  it("makes a cluster of the lab's program", async () => {
    const program = join(root, "lab/library/program");
    for (const file of ["Pulumi.yaml", "index.ts"]) cpSync(join(program, file), join(project, file));
    const tailnet = { loginServer: "http://192.0.2.1:3340", api: "http://192.0.2.1:3340" };
    const config = { "home:lab": { tailnet, kubernetes: { version: "1.37.2" } } };
    const stack = await Stack.create({ program: project, project: "home", config });
    await stack.setSecret("home:sshPrivateKey", privateKey);
    await stack.setSecret("home:tailnetAuthKey", authKey);
    const { code, output } = await stack.run(["preview", "--diff"]);
    expect(code, output).to.equal(0);
    for (const name of ["home-cp1-host-key", "home-cp3-control-plane", "home-w1-join", "home-cluster-checks"]) {
      expect(output, name).to.contain(`::${name}]`);
    }
    expect(output)
      .to.contain("kubernetes:helm.sh/v3:Release")
      .and.to.match(/\+ \d\d to create/);
    expect(output).to.not.contain(authKey).and.to.not.contain("bm90IGEga2V5");
  });
});
