import { expect } from "chai";
import * as lab from "../lab/lab";
import { expectReached, podCidrOf, strangerJoins, strangerLeaves } from "../lab/stranger";
import { advertised, deviceOf, primaryOf } from "../lab/tailnet";
import { faultSuite } from "./faults";

describe("a device with a node's key that takes the pod network of a node", function () {
  faultSuite(this);

  afterEach("the stranger is gone, also after a failure", async () => {
    if (deviceOf("stranger") !== undefined) await strangerLeaves();
  });

  it("the checks name it, all else works, and it is over when it leaves", async () => {
    const podCidr = podCidrOf("w1");
    const before = advertised("w1");
    await strangerJoins(podCidr);
    const isApproved = () => deviceOf("stranger")?.approvedRoutes.includes(podCidr) === true;
    await lab.until("the policy approves the stranger's route", isApproved, 60);
    // The policy approves the network for every node, as the docs have it, and the stranger has a node's key. It waits for its turn:
    // w1's route goes away for as long as its own watch takes to bring it back.
    lab.okOnHost("w1", "tailscale set --advertise-routes=");
    await lab.until("the stranger has the route of w1's pods", () => primaryOf(podCidr) === "stranger", 30);
    await lab.until("w1 asks for it again", () => advertised("w1").join() === before.join(), 10);
    await lab.until("the policy approves it", () => deviceOf("w1")?.approvedRoutes.includes(podCidr) === true, 30);
    await lab.sleep(15);
    expect(primaryOf(podCidr), "the stranger keeps it").to.equal("stranger");

    expectReached();
    const way = (host: lab.HostName) => lab.onHost(host, `ip route get ${podCidr.replace("0/24", "7")}`);
    for (const host of lab.hosts.filter((one) => one !== "w1")) expect(way(host), host).to.contain(" dev tailscale0 ");
    expect(way("w1"), "its own pods").not.to.contain("tailscale0");
    expect(lab.readyNames()).to.deep.equal([...lab.hosts].sort());

    const checks = lab.checksCommand("cp1", ["--json"], 1_200);
    expect(checks.status, checks.stderr).to.equal(1);
    const { failures } = JSON.parse(checks.stdout) as { failures: string[] };
    const all = failures.join("\n");
    expect(failures[0], all).to.match(
      /^w1: the tailnet sends what is for its pods \(10\.50\.\d+\.0\/24\) to another device: stranger \(100\.[\d.]+\) has 10\.50\.\d+\.0\/24\. Take the route from that device/,
    );
    // What is lost is what comes from w1's pods or goes to them: no way between pods of other nodes.
    const lost = failures.flatMap((line) => {
      const [, from, to] = /^(?:pod|mtu) from ([a-z0-9, ]+) to ([a-z0-9, ]+?)(?: \([^)]*\))?: /.exec(line) ?? [];
      return from === undefined ? [] : [[from, to]];
    });
    expect(lost, all).not.to.have.lengthOf(0);
    for (const pair of lost) expect(pair, all).to.include("w1");

    await strangerLeaves();
    await lab.until("w1 has the route again", () => primaryOf(podCidr) === "w1", 60);
    await lab.sleep(10);
    expect(advertised("w1")).to.deep.equal(before);
    console.log(`      checks without the stranger: ${lab.repeatChecks().trim()}`);
  });
});
