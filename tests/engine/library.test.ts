/** The package in projects of its users, by the engine of the lab, as far as that goes without hosts. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { installPackage } from "../packed";
import { authKey, controlPlaneAuthKey, privateKey } from "../unit/config/fixtures";
import { root, Stack, temporaryFolder } from "./cli";

interface Template {
  template: { config: Record<string, { description: string; default?: string; secret?: boolean }> };
}

describe("the package by the engine", function () {
  this.timeout(600_000);
  const project = temporaryFolder();

  before(() => void installPackage(project));

  it("makes a cluster of the lab's program", async () => {
    const program = join(root, "lab/library/program");
    for (const file of ["Pulumi.yaml", "index.ts"]) cpSync(join(program, file), join(project, file));
    const server = "http://192.0.2.1:3340";
    const tailnet = { loginServer: server, api: server, controlPlaneTag: "tag:k8s-control-plane" };
    const config = { "home:lab": { tailnet, kubernetes: { version: "1.37.2" } } };
    const stack = await Stack.create({ program: project, project: "home", config });
    await stack.setSecret("home:sshPrivateKey", privateKey);
    await stack.setSecret("home:tailnetAuthKey", authKey);
    await stack.setSecret("home:tailnetControlPlaneAuthKey", controlPlaneAuthKey);
    const { code, output } = await stack.run(["preview", "--diff"]);
    expect(code, output).to.equal(0);
    for (const name of ["home-cp1-host-key", "home-cp3-control-plane", "home-w1-join", "home-cluster-checks"]) {
      expect(output, name).to.contain(`::${name}]`);
    }
    expect(output)
      .to.contain("kubernetes:helm.sh/v3:Release")
      .and.to.match(/\+ \d\d to create/);
    for (const secret of [authKey, controlPlaneAuthKey, "bm90IGEga2V5"]) expect(output).to.not.contain(secret);
  });

  it("makes a cluster of the template, with what `pulumi new` asks for", async () => {
    const template = join(root, "examples/template");
    const made = temporaryFolder();
    const stack = await Stack.create({ program: made, project: "mine" });
    const options = ["--generate-only", "--yes", "--non-interactive", "--force", "--name", "mine", "--dir", made];
    const { code: created, output: said } = await stack.start(["new", template, ...options]).finished;
    expect(created, said).to.equal(0);
    const { version } = JSON.parse(readFileSync(join(project, "node_modules/tailkube/package.json"), "utf8")) as {
      version: string;
    };
    const { dependencies } = JSON.parse(readFileSync(join(made, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    expect(dependencies.tailkube).to.equal(`^${version}`);
    symlinkSync(join(project, "node_modules"), join(made, "node_modules"));

    const { config } = (parse(readFileSync(join(template, "Pulumi.yaml"), "utf8")) as Template).template;
    const key = join(made, "key");
    writeFileSync(key, privateKey, { mode: 0o600 });
    const given: Record<string, string> = {
      sshPrivateKeyFile: key,
      tailnetAuthKey: authKey,
      tailnetControlPlaneAuthKey: controlPlaneAuthKey,
    };
    for (const [name, { default: value, secret }] of Object.entries(config)) {
      expect(value !== undefined || secret, `${name}: a default, or a secret`).to.equal(true);
      await stack.setSecret(`mine:${name}`, given[name] ?? value!);
    }
    const { code, output } = await stack.run(["preview", "--diff"]);
    expect(code, output).to.equal(0);
    for (const name of ["cluster-cp3-control-plane", "cluster-w1-join"]) expect(output).to.contain(`::${name}]`);
    for (const secret of [authKey, controlPlaneAuthKey]) expect(output).to.not.contain(secret);
  });
});
