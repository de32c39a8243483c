/**
 * The endpoint of a lan as a virtual IP (`endpoint.kind: vip`): three control planes and a worker without a tailnet. Every fault is seen by
 * a client on the same network, and by all answers to ARP there. The tests build on each other.
 */
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { ArpCapture, installArpTools } from "./arp";
import { type ControlPlane, controlPlanes } from "./cluster";
import { command, type Fault, freezeApiServer, killHost, partition, stopApiServer } from "./faults";
import { engineOk, ownNodes, refreshKubeconfig, useOwnStack, useStack } from "./stack";

const address = "172.31.77.10";
const nodes = ownNodes();
const names = nodes.map(({ name }) => name as lab.HostName);
const upSeconds = 60 * 60;

const hasIt = (host: lab.HostName) => {
  try {
    return command(host, `ip -o -4 address show to ${address}/32`, 20).trim() !== "";
  } catch {
    // It has no power.
    return false;
  }
};
const holders = () => controlPlanes.filter(hasIt);

/** The control plane with the address, when there is exactly one. */
async function holder(): Promise<ControlPlane> {
  let found: ControlPlane[] = [];
  await lab.until("one control plane has the address", () => (found = holders()).length === 1, 60);
  return found[0]!;
}

/** The longest time in milliseconds without an answer of an API server at the address. */
const outage = (seconds: number) => lab.longestOutage("the machine", seconds, { endpoint: address, patience: 0.5 });

/** The seconds without an answer that a fault causes, while no two hosts answer ARP. The fault is undone at the end. */
async function during(seconds: number, cause: () => Fault): Promise<number> {
  const capture = new ArpCapture(address);
  let fault: Fault | undefined;
  try {
    const measured = outage(seconds);
    await lab.sleep(3);
    fault = cause();
    const longest = (await measured) / 1000;
    console.log(`      without an answer for ${longest.toFixed(1)} s, ${capture.answers.length} answers to ARP`);
    expect(capture.answers.length, "answers to ARP").to.be.greaterThan(seconds);
    expect(capture.duplicates()).to.deep.equal([]);
    return longest;
  } finally {
    await fault?.undo();
    capture.stop();
  }
}

const allBack = (seconds = 400) => {
  const from = Date.now();
  return lab.until("all nodes are back", () => lab.nodesAliveSince(from).length === names.length, seconds);
};
/** Every API server is ready at its own address, so each control plane can take the address over. */
const allReady = () =>
  lab.until(
    "every API server is ready",
    () =>
      controlPlanes.every(
        (host) => command(host, "curl -sk --max-time 3 --noproxy '*' https://127.0.0.1:6443/readyz || true") === "ok",
      ),
    300,
  );

/** What is left of the option on a host. */
const leftOn = (host: lab.HostName) => [
  ...lab.existing(
    host,
    "/etc/tailkube/endpoint.env",
    "/usr/local/lib/tailkube/endpoint",
    "/etc/systemd/system/tailkube-endpoint.service",
    "/run/tailkube",
  ),
  ...lab.onHost(host, `ip -o -4 address show to ${address}/32`).split("\n").filter(Boolean),
];

describe("a virtual IP as a lan's endpoint", function () {
  inSteps();
  this.timeout(90 * 60_000);

  const useVip = () =>
    useStack({
      clusterName: "lan",
      nodes,
      nodeNetwork: "lan",
      lan: { cidr: "172.31.77.0/24" },
      endpoint: { address, kind: "vip" },
      tailnet: undefined,
    });

  before(async () => {
    installArpTools();
    useOwnStack();
    await lab.bareHosts(names, "bundle");
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("an address that another device has: the run fails before any host is changed, and names its MAC address", async () => {
    useVip();
    // The machine itself is on the network, and is no host of the cluster.
    await lab.run("ip", ["address", "add", `${address}/32`, "dev", "tklab0"], 10);
    try {
      let said = "";
      await engineOk(["up"], upSeconds).catch((error: Error) => (said = error.message));
      expect(said).to.match(
        /already belongs to another device on the network of .*, with the MAC address [0-9a-f:]{17}/,
      );
      for (const name of names) expect(lab.existing(name, "/var/lib/tailkube"), name).to.deep.equal([]);
    } finally {
      await lab.run("ip", ["address", "del", `${address}/32`, "dev", "tklab0"], 10);
    }
  });

  it("one `up` makes the cluster, whose checks find one control plane with the address", async () => {
    await engineOk(["up"], upSeconds);
    refreshKubeconfig();
    expect(holders()).to.have.lengthOf(1);
    expect(await outage(5)).to.be.below(1500);
    lab.repeatChecks();
  });

  it("the API server of the holder is stopped: back within 4 s", async () => {
    const at = await holder();
    expect(await during(30, () => stopApiServer(at))).to.be.below(4);
    await allReady();
  });

  it("the API server of the holder hangs: back within 8 s", async () => {
    const at = await holder();
    expect(await during(30, () => freezeApiServer(at))).to.be.below(8);
    await allReady();
  });

  it("the holder's power is cut: back within 8 s", async () => {
    const at = await holder();
    expect(await during(40, () => killHost(at))).to.be.below(8);
    await allBack();
    await allReady();
  });

  it("a partition of the holder from the others for 60 s: at no time do two hosts answer", async () => {
    const at = await holder();
    expect(await during(75, () => partition(at))).to.be.below(8);
    expect(await holder()).to.not.equal(at);
    await allReady();
  });

  it("the watch of the holder hangs or is killed: the kernel takes the address away, and another one has it", async () => {
    const pid = (host: ControlPlane) =>
      command(host, "systemctl show --property=MainPID --value tailkube-endpoint").trim();
    const frozen = await holder();
    const stopped = await during(30, () => {
      command(frozen, `kill -STOP ${pid(frozen)}`);
      return { at: Date.now(), undo: () => Promise.resolve(void command(frozen, `kill -CONT ${pid(frozen)}`)) };
    });
    expect(stopped).to.be.below(8);
    const killed = await holder();
    expect(
      await during(30, () => {
        command(killed, `systemctl kill --kill-whom=main --signal=KILL tailkube-endpoint`);
        return { at: Date.now(), undo: () => Promise.resolve() };
      }),
    ).to.be.below(8);
  });

  it("200 switches, and at no time do two hosts answer", async () => {
    const capture = new ArpCapture(address);
    try {
      for (let i = 0; i < 200; i++) {
        const at = await holder();
        command(at, "systemctl restart tailkube-endpoint");
      }
      await holder();
      const moves = capture.answers.filter(({ mac }, i, all) => i > 0 && all[i - 1]!.mac !== mac).length;
      console.log(`      ${capture.answers.length} answers to ARP, ${moves} moves seen`);
      // The host that has just given it up may be the one that takes it again.
      expect(moves).to.be.greaterThan(100);
      expect(capture.duplicates()).to.deep.equal([]);
    } finally {
      capture.stop();
    }
  });

  it("after a reboot of all nodes at once one control plane has the address, without help", async () => {
    await Promise.all(names.map((name) => lab.run("lab/hosts/hosts", ["reboot", name], 400)));
    await allBack(600);
    expect(holders()).to.have.lengthOf(1);
    lab.repeatChecks();
  });

  it("another `up` changes nothing", async () => {
    const logins = names.map(lab.logins);
    await engineOk(["up"], 300);
    expect(names.map(lab.logins)).to.deep.equal(logins);
  });

  it("a destroy leaves nothing of it", async () => {
    await engineOk(["destroy"], 1_200);
    for (const name of names) expect(leftOn(name), name).to.deep.equal([]);
  });
});
