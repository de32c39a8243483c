import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { loadStackConfig } from "../../../config/stack";
import { apiKey, authKey, minimal, privateKey } from "./fixtures";

describe("loadStackConfig", () => {
  const folder = mkdtempSync(join(tmpdir(), "tailkube-config-"));
  const home = process.cwd();

  before(async () => {
    await pulumi.runtime.setMocks(
      { newResource: ({ inputs }) => ({ id: "id", state: inputs as object }), call: () => ({}) },
      "tailkube",
      "test",
    );
    writeFileSync(join(folder, "id"), privateKey);
    process.chdir(folder);
  });

  after(() => {
    process.chdir(home);
    rmSync(folder, { recursive: true });
  });

  it("reads what the engine hands over, files of the project, and makes the secrets secret", async () => {
    pulumi.runtime.setAllConfig(
      {
        "tailkube:nodes": JSON.stringify(minimal.nodes),
        "tailkube:tailnetAuthKey": authKey,
        "tailkube:ssh": JSON.stringify({ privateKeyFile: "id" }),
        "tailkube:tailnetApiKey": apiKey,
        "kubernetes:context": "not ours",
      },
      ["tailkube:tailnetAuthKey", "tailkube:tailnetApiKey"],
    );
    const { config, secrets } = loadStackConfig();
    expect(config.nodes).to.have.lengthOf(4);
    for (const [secret, value] of [
      [secrets.tailnetAuthKey!, authKey],
      [secrets.sshPrivateKey, `${privateKey}\n`],
      [secrets.tailnetApiKey!, apiKey],
    ] as const) {
      expect(await pulumi.isSecret(secret)).to.equal(true);
      expect(await new Promise((resolve) => secret.apply(resolve))).to.equal(value);
    }
  });

  it("refuses a secret that the stack's file has in plain, without quoting it", () => {
    pulumi.runtime.setAllConfig(
      { "tailkube:nodes": JSON.stringify(minimal.nodes), "tailkube:tailnetAuthKey": authKey },
      ["tailkube:sshPrivateKey"],
    );
    expect(() => loadStackConfig())
      .to.throw("tailnetAuthKey: it is not encrypted in the stack's config")
      .with.property("message")
      .that.does.not.contain(authKey);
  });

  it("refuses a key that the project does not have", () => {
    pulumi.runtime.setAllConfig({ "tailkube:nodez": "[]" });
    expect(() => loadStackConfig()).to.throw("nodez: there is no such key");
  });
});

describe("a wrong config", () => {
  it("stops the program with its problems alone: no stack of the code that found them", async () => {
    await pulumi.runtime.setMocks(
      { newResource: () => ({ id: "id", state: {} }), call: () => ({}) },
      "tailkube",
      "test",
    );
    pulumi.runtime.setAllConfig({ "tailkube:nodes": "[]" });
    try {
      loadStackConfig();
      expect.fail("it was taken");
    } catch (error) {
      expect(error).to.be.instanceOf(pulumi.RunError);
      expect((error as Error).message).to.match(/^there are? .*problems? in the stack's config:\n {2}- /);
      expect((error as Error).stack).to.equal(undefined);
    }
  });
});
