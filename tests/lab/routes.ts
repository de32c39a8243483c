/** What hosts advertise to the tailnet and accept from it, on a cluster that is there. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "./lab";
import { advertised, approve, approveAsAlways, approveWithOneTag, deviceOf, endpointRoute, primaryOf } from "./tailnet";

const theirs = "192.168.1.0/24";

/** The hosts' own network, which the lab's machine is on. */
const ownNetwork = "172.31.77.0/24";

function podCidrOf(node: string): string {
  const podCidr = lab.kubectl("get", "node", node, "-o", "jsonpath={.spec.podCIDR}");
  expect(podCidr).to.match(/^10\.50\.\d+\.0\/24$/);
  return podCidr;
}

/** A machine in the tailnet that is no node of the cluster. */
const stranger = "w2";
const onStranger = (script: string) => lab.output("lab/hosts/hosts", ["exec", stranger, "bash", "-c", script]);

/** It joins, by the key and with the tag of a worker, and advertises these routes. */
async function strangerJoins(...routes: string[]): Promise<void> {
  await lab.run("lab/hosts/hosts", ["up", stranger], 300);
  execFileSync(join(lab.root, "lab/hosts/hosts"), ["exec", stranger, "bash", "-c", "umask 077; cat >/run/key"], {
    input: lab.read("tailnet/authkey").trim(),
  });
  onStranger(`cp /opt/tailkube-bundle/bin/tailscale* /usr/local/bin/
    systemd-run --unit=stranger /usr/local/bin/tailscaled --state=/var/lib/stranger.state --socket=/run/tailscale/tailscaled.sock`);
  onStranger(
    `sysctl -qw net.ipv4.ip_forward=1; sleep 3; tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=stranger --accept-dns=false --advertise-routes=${routes.join(",")}`,
  );
}

async function strangerLeaves(): Promise<void> {
  onStranger("tailscale logout; systemctl stop stranger");
  await lab.run("lab/hosts/hosts", ["stop", stranger], 120);
  await fetch(`http://172.31.77.1:3340/api/v2/device/${deviceOf("stranger")?.id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${lab.read("tailnet/apikey").trim()}` },
  });
  approveAsAlways();
  expect(lab.devices().map(({ name }) => name)).not.to.include("stranger");
}

/** From outside every host answers, has its way to the machine, and reaches the API at the endpoint. */
function expectReached(): void {
  for (const host of lab.hosts) {
    expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
    expect(lab.onHost(host, "ip route get 172.31.77.1"), host).to.contain(" dev eth1 ");
    expect(lab.onHost(host, "curl -sk --max-time 5 https://10.200.0.1:6443/readyz"), host).to.equal("ok");
  }
}

/** Whether the tailnet's server knows that the device wants this route. */
const asksFor = (name: string, route: string) => deviceOf(name)?.advertisedRoutes.includes(route) === true;

export function routeTests(): void {
  for (const host of ["cp2", "w1"] as const) {
    it(`routes come back on ${host} after another's 'tailscale set' dropped them, and theirs stays`, async () => {
      const before = advertised(host);
      expect(before.length, `${host}'s routes: ${before.join(", ")}`).to.equal(host === "w1" ? 1 : 2);
      lab.onHost(host, `tailscale set --advertise-routes=${theirs}`);
      const wanted = [...before, theirs].sort().join();
      const seconds = await lab.until(`${wanted} advertised on ${host}`, () => advertised(host).join() === wanted, 10);
      console.log(`      back after ${seconds} s`);
      // The user takes theirs back, and it stays away.
      lab.onHost(host, `tailscale set --advertise-routes=${before.join(",")}`);
      await lab.sleep(12);
      expect(advertised(host)).to.deep.equal(before);
    });
  }

  it("a worker that advertises the endpoint by hand does not get its route, and has its own again within 10 s", async () => {
    const [podCidr] = advertised("w1");
    expect(podCidr).to.match(/^10\.50\.\d+\.0\/24$/);
    for (const [name, tags] of [
      ["cp1", ["tag:k8s", "tag:k8s-control-plane"]],
      ["w1", ["tag:k8s"]],
    ] as const)
      expect(deviceOf(name)?.tags, name).to.have.members([...tags]);

    lab.okOnHost("w1", `tailscale set --advertise-routes=${endpointRoute}`);
    await lab.until("the server knows that w1 asks", () => asksFor("w1", endpointRoute), 10);
    const isRight = () => {
      const device = deviceOf("w1");
      return device?.approvedRoutes.join() === podCidr && device?.primaryRoutes?.join() === podCidr;
    };
    const seconds = await lab.until("w1's own route is approved and sent to it again", isRight, 10);
    console.log(`      its own route was back after ${seconds} s`);
    // It still asks, as the user set it, and gets nothing for it, for longer than a watch takes.
    for (let i = 0; i < 8; i++, await lab.sleep(2)) {
      expect(advertised("w1")).to.deep.equal([endpointRoute, podCidr].sort());
      expect(deviceOf("w1"), "w1's device").to.deep.include({ approvedRoutes: [podCidr], primaryRoutes: [podCidr] });
      expect(primaryOf(endpointRoute)).to.match(/^cp[123]$/);
      expect(lab.onHost("w1", "curl -sk --max-time 5 https://10.200.0.1:6443/readyz")).to.equal("ok");
    }

    // It is the second tag that keeps it from w1: with one tag for all nodes it is approved.
    approveWithOneTag();
    try {
      await lab.until(
        "with one tag the route is approved",
        () => deviceOf("w1")?.approvedRoutes.includes(endpointRoute) === true,
        90,
      );
    } finally {
      approveAsAlways();
    }
    await lab.until("with two it is not", () => deviceOf("w1")?.approvedRoutes.join() === podCidr, 90);
    expect(primaryOf(endpointRoute)).to.match(/^cp[123]$/);

    lab.okOnHost("w1", `tailscale set --advertise-routes=${podCidr}`);
    await lab.sleep(12);
    expect(advertised("w1")).to.deep.equal([podCidr]);
  });

  it("a peer that advertises the hosts' own network and another node's pod network takes neither", async () => {
    const podCidr = podCidrOf("w1");
    approve(ownNetwork);
    await strangerJoins(ownNetwork, podCidr);
    await lab.until("the stranger's route is its own", () => primaryOf(ownNetwork) === "stranger", 60);
    await lab.sleep(15);
    expect(primaryOf(podCidr), `the device with ${podCidr}`).to.equal("w1");
    expectReached();
    console.log(`      checks with the stranger there: ${lab.repeatChecks().trim()}`);
  });

  it("once it has taken a node's pod network, the checks name it, all else works, and it is over when it leaves", async () => {
    const podCidr = podCidrOf("w1");
    const before = advertised("w1");
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
}
