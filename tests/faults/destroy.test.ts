import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { killHost } from "./faults";
import { engineBy, type EngineRun, ownNodes, useOwnStack, useStack } from "./stack";

const addresses: Record<lab.HostName, string> = {
  cp1: "172.31.77.11",
  cp2: "172.31.77.12",
  cp3: "172.31.77.13",
  w1: "172.31.77.21",
};
const nameOf = (host: string) => `${host}.hosts.tailkube.test`;
/** The hosts' names, as a hosts file that only a run in a mount namespace of its own has. */
const hostsFile = join(lab.state, "faults", "hosts");

/** A run of the engine in namespaces of its own: with the hosts' names or without, with this machine's network or with none. */
function engineIn(place: { names: boolean; network: boolean }, verb: string, seconds: number): Promise<EngineRun> {
  const names = place.names ? `mount --bind '${hostsFile}' /etc/hosts &&` : "mount --bind /dev/null /etc/hosts &&";
  const network = place.network ? "" : "ip link set lo up &&";
  const options = place.network ? ["-m"] : ["-m", "-n"];
  return engineBy("unshare", [...options, "bash", "-c", `${names} ${network} exec lab/engine ${verb}`], seconds);
}

/** A destroy takes the cluster away or says that it could not: an operator without a network is no dead host. */
describe("a destroy that cannot reach the hosts", function () {
  inSteps();
  this.timeout(60 * 60_000);

  before(async () => {
    await lab.bareHosts();
    mkdirSync(join(lab.state, "faults"), { recursive: true });
    const lines = lab.hosts.map((host) => `${addresses[host]} ${nameOf(host)}\n`);
    writeFileSync(hostsFile, `127.0.0.1 localhost\n${lines.join("")}`);
    useStack({ nodes: ownNodes().map((node) => ({ ...node, host: { kind: "ssh", address: nameOf(node.name) } })) });
    const { code, text } = await engineIn({ names: true, network: true }, "up", 900);
    if (code !== 0) throw new Error(`up ended with ${code}: ${text.slice(-1500)}`);
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  function expectKept(run: EngineRun): void {
    expect(run.code, "the destroy's exit status").not.to.equal(0);
    const state = lab.output("lab/engine", ["export"]);
    expect(state, "the cluster's authorities in the state").to.match(/::cluster-authorities"/);
    for (const host of lab.hosts) {
      expect(lab.onHost(host, "cat /var/lib/tailkube/joined").trim(), `${host} is still a node`).not.to.equal("");
      expect(state, `the undo of ${host} in the state`).to.contain(`::${host}-cleanup"`);
    }
  }

  it("fails where this machine has no network, and keeps the authorities and every host in the state", async () => {
    expectKept(await engineIn({ names: true, network: false }, "destroy", 600));
  });

  it("fails where no host's name can be resolved, and says so", async () => {
    const run = await engineIn({ names: false, network: true }, "destroy", 600);
    expectKept(run);
    expect(run.text).to.match(/resolve/);
  });

  it("is done with one host really gone, and names it", async () => {
    // Its network namespace outlives it here, and would refuse connections.
    killHost("w1");
    const run = await engineIn({ names: true, network: true }, "destroy", 900);
    expect(run.code, run.text.slice(-1500)).to.equal(0);
    expect(run.text).to.match(/w1[^.]*(no answer|does not answer)/);
    for (const host of ["cp1", "cp2", "cp3"] as const) {
      expect(lab.existing(host, "/var/lib/tailkube", "/etc/kubernetes/*.*", "/etc/kubernetes/pki"), host).to.deep.equal(
        [],
      );
    }
  });
});
