import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import type { Authorities } from "../../components/kubernetes/authority-values";
import type { Member } from "../../components/kubernetes/member";
import { upgradeNode } from "../../components/kubernetes/node-upgrade";
import { upgradeConfiguration } from "../../components/kubernetes/kubeadm";
import { bash } from "../unit/host/bash";
import { configOf, minimal } from "../unit/config/fixtures";
import { joinSeed, variablesOf } from "./program";

interface Made {
  inputs: Record<string, unknown>;
  certificateExpiry: string;
}

/** The upgrade of a node, registered by itself; `stdout` is what the engine has of its last run. */
async function made(
  nodeName: string,
  changes: Record<string, unknown> = {},
  stdout = "",
  installed = `v${(changes.kubernetes as { version?: string } | undefined)?.version ?? "1.37.2"}`,
): Promise<Made> {
  let inputs: Record<string, unknown> | undefined;
  await pulumi.runtime.setMocks({
    call: ({ token }) => {
      throw new Error(`the component calls ${token}`);
    },
    newResource: ({ type, name, inputs: given }) => {
      if (type === "command:remote:Command") {
        expect(name).to.equal(`${nodeName}-upgrade`);
        inputs = given as Record<string, unknown>;
      }
      return { id: `${name}-id`, state: { ...given, stdout, stderr: "" } };
    },
  });
  const config = configOf(changes);
  const member: Member = {
    node: config.nodes.find(({ name }) => name === nodeName)!,
    host: {
      name: nodeName,
      user: "root",
      identity: "machine",
      connection: { host: "192.0.2.1" },
      address: pulumi.output("192.0.2.1"),
    },
    address: pulumi.output("100.64.0.9"),
    resolvConf: pulumi.output("/etc/resolv.conf"),
    membershipId: pulumi.output("membershipId"),
    nonce: pulumi.output(""),
  };
  const authorities = pulumi.output({ seed: joinSeed }) as unknown as pulumi.Output<Authorities>;
  const version = upgradeNode(
    `${nodeName}-upgrade`,
    { config, member, installed: pulumi.output(installed), authorities },
    {},
  );
  const certificateExpiry = await new Promise<string>((resolve) => version.certificateExpiry.apply(resolve));
  return { inputs: inputs!, certificateExpiry };
}

const variables = ({ inputs }: Made) => variablesOf(inputs.stdin as string);

describe("the upgrade of a node", () => {
  it("does nothing when it is made: a new node has its versions already", async () => {
    const { inputs, certificateExpiry } = await made("cp1");
    expect(inputs).to.not.have.any.keys("create", "delete", "triggers");
    // Longer than everything that it waits for.
    expect(inputs.update).to.equal("timeout --kill-after=10 5400 bash -s -- apply");
    expect(certificateExpiry).to.equal("");
  });

  it("runs at once where a former run has left another version and not come this far", async () => {
    const { inputs } = await made("cp1", { kubernetes: { version: "1.36.3" } }, "{}", "v1.35.4");
    expect(inputs.create).to.be.a("string").and.equal(inputs.update);
  });

  it("sends a whole script", async () => {
    const { status, stderr } = bash(`bash -n <<'STDIN'\n${(await made("cp1")).inputs.stdin as string}\nSTDIN\n`);
    expect({ status, stderr }).to.deep.equal({ status: 0, stderr: "" });
  });

  it("tells when the certificates end, once it has run", async () => {
    const stdout = '{"changed":[],"certificateExpiry":"2027-11-21T13:51:15Z"}';
    expect((await made("cp1", {}, stdout)).certificateExpiry).to.equal("2027-11-21T13:51:15Z");
  });

  it("is told all versions, and how kubeadm is to go about it", async () => {
    const changes = {
      kubernetes: { version: "1.36.1", containerdVersion: "2.2.1", drainSeconds: 60 },
      tailnet: { tailscaleVersion: "1.102.5" },
    };
    expect(variables(await made("cp1", changes))).to.include({
      TK_ROLE: "control-plane",
      TK_NODE_IP: "100.64.0.9",
      TK_KUBERNETES_VERSION: "1.36.1",
      TK_TAILSCALE_VERSION: "1.102.5",
      TK_CONTAINERD_VERSION: "2.2.1",
      TK_BUNDLE: "",
      TK_DRAIN_SECONDS: "60",
      TK_IMAGE_PULL_POLICY: "IfNotPresent",
    });
    const config = configOf(changes);
    const document = variablesOf((await made("cp1", changes)).inputs.stdin as string).TK_KUBEADM_DOCUMENT;
    expect(`${document}`).to.equal(upgradeConfiguration({ ...config, profile: config.hostProfile }));
  });

  it("changes with what it is about, and with nothing else", async () => {
    const stdin = async (node: string, changes: Record<string, unknown>) => (await made(node, changes)).inputs.stdin;
    const before = await stdin("w1", {});
    for (const changes of [
      { kubernetes: { version: "1.36.1" } },
      { tailnet: { tailscaleVersion: "1.102.5" } },
      { kubernetes: { containerdVersion: "2.2.1" } },
    ]) {
      expect(await stdin("w1", changes), JSON.stringify(changes)).to.not.equal(before);
    }
    // A worker has no such certificates; Cilium is Helm's to upgrade.
    for (const changes of [
      { kubernetes: { certificateRenewal: "2027" } },
      { cilium: { version: "1.16.0" } },
      { checks: false },
      { clusterName: "x" },
    ]) {
      expect(await stdin("w1", changes), JSON.stringify(changes)).to.equal(before);
    }
    expect(await stdin("cp1", { kubernetes: { certificateRenewal: "2027" } })).to.not.equal(await stdin("cp1", {}));
  });

  it("leaves the pods on the only node there is", async () => {
    const nodes = [(minimal.nodes as object[])[0]];
    expect(variables(await made("cp1", { nodes })).TK_DRAIN_SECONDS).to.equal("0");
  });
});
