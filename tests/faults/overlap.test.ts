import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { onStranger, strangerJoins } from "../lab/stranger";
import { advertised } from "../lab/tailnet";
import { controlPlanes } from "./cluster";
import { engine, engineOk, refreshKubeconfig, useOwnStack } from "./stack";

/** Within the pod CIDR of the lab's stack, 10.50.0.0/16, and therefore approved by the lab's tailnet. */
const route = "10.50.7.0/24";

const carries = (name: string) =>
  lab.devices().flatMap((device) => (device.name === name ? (device.primaryRoutes ?? []) : []));

/** What of a cluster is on a host. */
const ofCluster = (host: lab.HostName) =>
  lab.existing(
    host,
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/etcd/member",
    "/var/lib/tailkube/joined",
    "/var/lib/tailkube/attempt",
  );

describe("another device of the tailnet that advertises a part of the pod network", function () {
  inSteps();
  this.timeout(60 * 60_000);
  after(() => lab.run("lab/down", [], 300));

  it("is there before the cluster", async () => {
    useOwnStack();
    await lab.bareHosts();
    await strangerJoins(route);
    await lab.until("the stranger carries its route", () => carries("stranger").includes(route), 60);
  });

  it("keeps a cluster from being founded, twice, and nothing is advertised", async () => {
    for (const attempt of [1, 2]) {
      const run = await engine(["up"], 900);
      expect(run.code, `attempt ${attempt}`).not.to.equal(0);
      expect(run.text).to.match(
        /cp1: control-plane: another device of the tailnet has a route to this cluster's networks: stranger \(100\.[\d.]+\) has 10\.50\.7\.0\/24, which is in network\.podCidr 10\.50\.0\.0\/16 of this stack\. Nothing was founded or advertised\./,
      );
      for (const host of lab.hosts) {
        expect(ofCluster(host), `${host}, attempt ${attempt}`).to.deep.equal([]);
        expect(lab.hasEndpoint(host), `the endpoint on ${host}`).to.equal(false);
        expect(advertised(host), `routes of ${host}`).to.deep.equal([]);
        expect(carries(host), `routes that the tailnet sends to ${host}`).to.deep.equal([]);
      }
      expect(carries("stranger"), "the stranger's route").to.deep.equal([route]);
    }
  });

  it("lets the cluster come up once it has left, and takes nothing back from it later", async () => {
    onStranger("tailscale set --advertise-routes=");
    await lab.until("the route is nobody's", () => carries("stranger").length === 0, 60);
    await engineOk(["up"], 900);
    refreshKubeconfig();
    await lab.until("four Ready nodes", () => lab.readyNodes().length === lab.hosts.length, 120);
    const before = lab.hosts.map((host) => [host, advertised(host)]);
    for (const host of controlPlanes) expect(advertised(host), host).to.include("10.200.0.1/32");

    // A living cluster goes on beside the same device, and another run finds nothing to do.
    onStranger(`tailscale set --advertise-routes=${route}`);
    await lab.until("the stranger carries its route again", () => carries("stranger").includes(route), 60);
    const logins = lab.hosts.map(lab.logins);
    await engineOk(["up"], 300);
    expect(lab.hosts.map(lab.logins), "logins by SSH").to.deep.equal(logins);
    expect(lab.hosts.map((host) => [host, advertised(host)])).to.deep.equal(before);
    console.log(`      checks with the stranger there: ${lab.repeatChecks().trim()}`);
  });
});
