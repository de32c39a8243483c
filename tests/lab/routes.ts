/** What hosts advertise to the tailnet and accept from it, on a cluster that is there. */
import { expect } from "chai";
import * as lab from "./lab";
import { expectReached, podCidrOf, strangerJoins, strangerLeaves } from "./stranger";
import { advertised, approve, approveAsAlways, approveWithOneTag, deviceOf, endpointRoute, primaryOf } from "./tailnet";

const theirs = "192.168.1.0/24";

/** The hosts' own network, which the lab's machine is on. */
const ownNetwork = "172.31.77.0/24";

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
    await strangerLeaves();
  });
}
