import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { tailnetDevice } from "../../components/network/tailnet/device";
import { apiKey } from "../unit/config/fixtures";
import { type Registered, recordRegistrations } from "./program";

describe("a node's device in the tailnet", () => {
  const resources: Registered[] = [];
  let command: Registered;

  before(async () => {
    await pulumi.runtime.setMocks(
      { newResource: ({ name, inputs }) => ({ id: `${name}-id`, state: inputs as object }), call: () => ({}) },
      "tailkube",
      "test",
    );
    recordRegistrations(resources);
    const other = new pulumi.ComponentResource("tailkube:test:Other", "other");
    tailnetDevice(
      "cp1-device",
      {
        deviceId: pulumi.output("n1CNTRL"),
        login: pulumi.output("found"),
        node: "cp1",
        // Not marked: that is the function's to do.
        api: { url: "https://api.example.com", key: pulumi.output(apiKey) },
      },
      { parent: other },
    );
    await pulumi.runtime.disconnect();
    command = resources.find(({ type }) => type === "command:local:Command")!;
  });

  it("is one command on the operator's machine", () => {
    expect(resources.map(({ type, name }) => `${type} ${name}`)).to.deep.equal([
      "tailkube:test:Other other",
      "command:local:Command cp1-device",
    ]);
  });

  it("does nothing until it is deleted", () => {
    expect(command.inputs).not.to.have.any.keys("create", "update");
    expect(command.inputs.delete).to.equal(
      readFileSync(join(__dirname, "../../host/operator/tailnet-device.sh"), "utf8").replace(/\n$/, ""),
    );
  });

  it("knows the device, and gives way to another one: the stale one is deleted first", () => {
    expect(command.inputs.environment).to.deep.equal({
      TK_API: "https://api.example.com",
      TK_DEVICE: "n1CNTRL",
      TK_LOGIN: "found",
      TK_NODE: "cp1",
    });
    expect(command.inputs.triggers).to.deep.equal(["n1CNTRL"]);
    expect(command.deleteBeforeReplace).to.equal(true);
  });

  it("gives the key by stdin alone, as a secret, and shows the command's warnings", () => {
    expect(command.secretInputs).to.deep.equal(["stdin"]);
    const { stdin, ...others } = command.inputs;
    expect(stdin).to.equal(apiKey);
    expect(JSON.stringify(others)).not.to.contain(apiKey);
    expect(command.inputs).to.include({ logging: "stderr", addPreviousOutputInEnv: false });
  });
});
