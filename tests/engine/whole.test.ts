/** The whole program by the engine of the lab, as far as that goes without hosts: previews, with the policy pack too. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { authKey, minimal, privateKey } from "../unit/config/fixtures";
import { root, Stack, temporaryFolder } from "./cli";

const { nodes } = minimal as { nodes: object[] };
const policies = ["--policy-pack", join(root, "policy")];

async function tailkube(config: Record<string, unknown>): Promise<Stack> {
  const named = Object.fromEntries(Object.entries(config).map(([key, value]) => [`tailkube:${key}`, value]));
  const stack = await Stack.create({ program: root, project: "tailkube", config: named });
  await stack.setSecret("tailkube:sshPrivateKey", privateKey);
  await stack.setSecret("tailkube:tailnetAuthKey", authKey);
  return stack;
}

describe("the whole program by the engine", function () {
  this.timeout(600_000);

  it("is previewed from the first host key to the checks, no rule broken, no secret shown", async () => {
    const stack = await tailkube({ nodes });
    const { code, output } = await stack.run(["preview", "--diff", ...policies]);
    expect(code, output).to.equal(0);
    for (const name of ["cp1-host-key", "cp3-control-plane", "w1-join", "cluster-checks"]) {
      expect(output, name).to.contain(`::${name}]`);
    }
    expect(output).to.contain("kubernetes:helm.sh/v3:Release");
    expect(output).to.match(/Policy Packs run:\s+Name\s+Version\s+tailkube\b/);
    expect(output).to.match(/\+ \d\d+ to create/);
    expect(output).to.not.contain(authKey).and.to.not.contain("bm90IGEga2V5");
    expect(stack.deployment.resources ?? []).to.deep.equal([]);
  });

  it("names everything that is wrong with a config, and asks for no resource", async () => {
    const stack = await tailkube({ nodes, network: { podCidr: "10.50.0.0/33" }, kubernetes: { version: "newest" } });
    const { code, output } = await stack.run(["preview"]);
    expect(code).to.not.equal(0);
    expect(output).to.contain("network.podCidr").and.to.contain("kubernetes.version");
    expect(output).to.not.contain("command:remote:Command");
  });

  it("has the engine ask for the plugins of what it declares, and for no other that is installed", async () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    const plugins = Object.entries(dependencies).filter(([name]) => /^@pulumi\/(?!pulumi$)/.test(name));
    expect(plugins).to.have.lengthOf(4);
    const stack = await tailkube({ nodes });
    const { code, output } = await stack.run(["preview", "--logtostderr", "--logflow", "-v=7"]);
    expect(code, output.slice(-3000)).to.equal(0);
    const asked = plugins.filter(([name, version]) =>
      ["-", "-v", " ", ", "].some((between) => output.includes(name.slice("@pulumi/".length) + between + version)),
    );
    expect(asked.map(([name]) => name)).to.have.members(["@pulumi/command", "@pulumi/kubernetes"]);
  });

  it("shows an error of its own with the line of its source", async () => {
    const broken = join(temporaryFolder(), "broken.cjs");
    writeFileSync(
      broken,
      `const crypto = require("node:crypto");
       const { createHash } = crypto;
       crypto.createHash = (...given) => {
         if (new Error().stack.includes("fingerprint")) throw new Error("broken");
         return createHash(...given);
       };`,
    );
    const stack = await tailkube({ nodes });
    const { code, output } = await stack.run(["preview"], { NODE_OPTIONS: `--require ${broken}` });
    expect(code).to.not.equal(0);
    const lines = readFileSync(join(root, "model/machine.ts"), "utf8").split("\n");
    const line = lines.findIndex((text) => text.includes('createHash("sha256")')) + 1;
    expect(output)
      .to.contain("Error: broken")
      .and.to.match(new RegExp(`model/machine\\.ts:${line}:\\d+`));
  });

  it("is what the policy pack looks at: an unpinned host is refused", async () => {
    const stack = await Stack.create({ program: "unpinned", project: "unpinned" });
    const { code, output } = await stack.run(["preview", ...policies]);
    expect(code).to.not.equal(0);
    expect(output).to.contain("host-key-pinned");
    expect((await stack.run(["preview"])).code, "without the pack").to.equal(0);
  });
});
