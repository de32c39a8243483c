/** The package `tailkube` in a project of its own: a program of ten lines makes the cluster on the lab's hosts. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { engineBy } from "./stack";

const command = "lab/library/library";

/** A run of the program that has to end well. */
async function library(args: readonly string[], seconds: number) {
  const run = await engineBy(command, args, seconds);
  expect(run.code, run.text.slice(-3000)).to.equal(0);
  return run;
}

describe("a program that uses the package", function () {
  inSteps();
  this.timeout(60 * 60_000);
  after(() => lab.run("lab/down", [], 300));

  it("has bare hosts, and a project of the packed package alone", async () => {
    await lab.bareHosts();
    await lab.run(command, ["make"], 900);
    expect(lab.read("library/package-lock.json"))
      .to.contain('"node_modules/tailkube"')
      .and.to.not.contain('"node_modules/@pulumi/aws"');
  });

  it("makes four Ready nodes in one run, all on the tailnet", async () => {
    const { seconds } = await library(["up"], 45 * 60);
    console.log(`      first run: ${seconds.toFixed(0)} s`);
    const kubeconfig = lab.output(command, ["output", "directKubeconfig"]);
    writeFileSync(join(lab.state, "kubeconfig"), kubeconfig, { mode: 0o600 });
    const nodes = lab.readyNodes();
    console.log(nodes.map(({ name, address, version }) => `      ${name} ${address} ${version}`).join("\n"));
    expect(nodes.map(({ name }) => name)).to.have.members([...lab.hosts]);
    for (const { name, address } of nodes) expect(address, name).to.match(/^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
    const outputs = JSON.parse(lab.output(command, ["output", "nodes"])) as { name: string; address: string }[];
    expect(outputs.map(({ name, address }) => [name, address])).to.have.deep.members(
      nodes.map(({ name, address }) => [name, address]),
    );
  });

  it("changes nothing in a second run, and opens no SSH connection", async () => {
    const logins = lab.hosts.map(lab.logins);
    expect(logins.every((count) => count > 0)).to.equal(true);
    const { text, seconds } = await library(["up"], 300);
    console.log(`      second run: ${seconds.toFixed(1)} s`);
    expect(text).to.match(/ Resources: \d+ unchanged/);
    expect(lab.hosts.map(lab.logins)).to.deep.equal(logins);
  });

  it("leaves hosts without a cluster after a destroy, and no device in the tailnet", async () => {
    await library(["destroy"], 900);
    expect(lab.devices()).to.deep.equal([]);
    for (const host of lab.hosts) {
      expect(lab.existing(host, "/etc/kubernetes/*.*", "/etc/kubernetes/pki", "/var/lib/tailkube"), host).to.deep.equal(
        [],
      );
      expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
    }
  });
});
