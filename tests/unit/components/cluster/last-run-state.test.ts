import * as pulumi from "@pulumi/pulumi";
import { specialSecretSig, specialSigKey } from "@pulumi/pulumi/runtime/rpc";
import * as sdk from "@pulumi/pulumi/runtime/state";
import { expect } from "chai";
import { LastRunState } from "../../../../components/cluster/last-run-state";
import { withStateMigrations } from "../../../preview/state-migrations";

interface SdkState {
  supportsStateMigrations: boolean;
  callbacks: object;
  settings: { options: { monitorAddr: string } };
}
const sdkState = () => (sdk as unknown as { getStore(): SdkState }).getStore();
const valueOf = (output: pulumi.Output<unknown>) => new Promise((resolve) => void output.apply(resolve));

/** @param outputs of the memory's last state, as a state file has them. */
async function begin(outputs?: object): Promise<void> {
  await pulumi.runtime.setMocks({ call: () => ({}), newResource: () => ({ id: undefined, state: {} }) }, "p", "dev");
  sdkState().callbacks = { awaitStackRegistrations: () => Promise.resolve(), shutdown: () => undefined };
  if (outputs) withStateMigrations(() => outputs);
}

describe("a cluster's memory", () => {
  const instead = () => ({ reference: undefined!, get: (name: string) => pulumi.output(`the stack's ${name}`) });
  const memory = (other?: typeof instead) => new LastRunState("home", other, {});
  afterEach(() => (sdkState().supportsStateMigrations = false));

  it("gives each output, secret only if a part of it was", async () => {
    const address = { [specialSigKey]: specialSecretSig, plaintext: '"192.0.2.1"' };
    await begin({ versions: { kubernetes: "1.37.2" }, nodes: [{ name: "cp1", address }] });
    const last = memory(instead);
    expect(await valueOf(last.get("versions"))).to.deep.equal({ kubernetes: "1.37.2" });
    expect(await pulumi.isSecret(last.get("versions"))).to.equal(false);
    expect(await valueOf(last.get("nodes"))).to.deep.equal([{ name: "cp1", address: "192.0.2.1" }]);
    expect(await pulumi.isSecret(last.get("nodes"))).to.equal(true);
    expect(await valueOf(last.get("applied"))).to.equal(undefined);
  });

  it("is what there is instead, as long as no run has come to its end", async () => {
    await begin({});
    expect(await valueOf(memory(instead).get("nodes"))).to.equal("the stack's nodes");
    expect(await valueOf(memory().get("nodes"))).to.equal(undefined);
  });

  it("is empty in unit tests of a program", async () => {
    await begin();
    expect(await valueOf(memory().get("nodes"))).to.equal(undefined);
  });

  it("fails by an engine that cannot read it, unless there is something instead", async () => {
    await begin();
    sdkState().settings.options.monitorAddr = "127.0.0.1:1";
    expect(() => memory()).to.throw("Required: Pulumi CLI 3.276.0 or newer");
    sdkState().settings.options.monitorAddr = "mock";
    expect(await valueOf(memory(instead).get("nodes"))).to.equal("the stack's nodes");
  });
});
