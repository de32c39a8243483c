/** What hosts advertise to the tailnet and accept from it, on a cluster that is there. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import * as lab from "./lab";
import { advertised, approve, approveAsAlways, approveWithOneTag, deviceOf, endpointRoute, primaryOf } from "./tailnet";

const theirs = "192.168.1.0/24";

/** A machine in the tailnet that is no node of the cluster. */
const stranger = "w2";
const onStranger = (script: string) => lab.output("lab/hosts/hosts", ["exec", stranger, "bash", "-c", script]);

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
    const podCidr = lab.kubectl("get", "node", "w1", "-o", "jsonpath={.spec.podCIDR}");
    expect(podCidr).to.match(/^10\.50\.\d+\.0\/24$/);
    await lab.run("lab/hosts/hosts", ["up", stranger], 300);
    approve("172.31.77.0/24");
    const key = lab.read("tailnet/authkey").trim();
    execFileSync(join(lab.root, "lab/hosts/hosts"), ["exec", stranger, "bash", "-c", "umask 077; cat >/run/key"], {
      input: key,
    });
    onStranger(`cp /opt/tailkube-bundle/bin/tailscale* /usr/local/bin/
      systemd-run --unit=stranger /usr/local/bin/tailscaled --state=/var/lib/stranger.state --socket=/run/tailscale/tailscaled.sock`);
    onStranger(
      `sysctl -qw net.ipv4.ip_forward=1; sleep 3; tailscale up --auth-key=file:/run/key --login-server=http://172.31.77.1:3340 --hostname=stranger --accept-dns=false --advertise-routes=172.31.77.0/24,${podCidr}`,
    );
    await lab.until("the stranger's route is its own", () => primaryOf("172.31.77.0/24") === "stranger", 60);
    await lab.sleep(15);
    expect(primaryOf(podCidr), `the device with ${podCidr}`).to.equal("w1");
    for (const host of lab.hosts) {
      expect(lab.answersSsh(host), `SSH to ${host}`).to.equal(true);
      expect(lab.onHost(host, "ip route get 172.31.77.1"), host).to.contain(" dev eth1 ");
      expect(lab.onHost(host, "curl -sk --max-time 5 https://10.200.0.1:6443/readyz"), host).to.equal("ok");
    }
    console.log(`      checks with the stranger there: ${lab.repeatChecks().trim()}`);
    onStranger("tailscale logout; systemctl stop stranger");
    await lab.run("lab/hosts/hosts", ["stop", stranger], 120);
    await fetch(`http://172.31.77.1:3340/api/v2/device/${deviceOf("stranger")?.id}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${lab.read("tailnet/apikey").trim()}` },
    });
    approveAsAlways();
    expect(lab.devices().map(({ name }) => name)).not.to.include("stranger");
  });
}
