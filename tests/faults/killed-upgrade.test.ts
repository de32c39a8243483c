import { expect } from "chai";
import { keep } from "../lab/kept";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { interrupt, kubeadm, type Trap } from "../lab/traps";
import { pauseImage } from "../../components/kubernetes/containerd";
import { engineOk, refreshKubeconfig, useOwnStack, useStack } from "./stack";
import { expectWhole } from "./whole";

interface Case {
  title: string;
  trap: Trap;
  how: "kill" | "power";
}

/** The stage restarts it so: kubeadm itself restarts `kubelet`, without a suffix. */
const kubelet = (host: lab.HostName): Trap => ({
  host,
  command: "systemctl",
  matching: "^restart kubelet.service",
  at: "after",
});
const eviction = (host: lab.HostName): Trap => ({ host, command: "curl", matching: "/eviction", at: "after" });

/** A pod that its node's drain has to evict: all others may be elsewhere. It has no controller, so it does not come back. */
function givePod(node: lab.HostName, version: string): void {
  const overrides = JSON.stringify({
    spec: { nodeName: node, tolerations: [{ operator: "Exists" }], terminationGracePeriodSeconds: 0 },
  });
  const args = ["run", `evicted-${node}`, `--image=${pauseImage(version)}`, `--overrides=${overrides}`];
  const said = lab.kubectl(...args, "--image-pull-policy=IfNotPresent", "--restart=Never");
  expect(said, `the pod for ${node}`).to.contain("created");
}

// In the order of a run: each next run gets past the point at which the one before it was killed.
const cases: Case[] = [
  { title: "between the kubelet's exchange and the uncordon, first control plane", trap: kubelet("cp1"), how: "kill" },
  { title: "in a drain, second control plane", trap: eviction("cp2"), how: "power" },
  { title: "between the kubelet's exchange and the uncordon", trap: kubelet("cp2"), how: "power" },
  { title: "after kubeadm, third control plane", trap: kubeadm("cp3", "^upgrade node", "after"), how: "kill" },
  { title: "in a worker's drain", trap: eviction("w1"), how: "kill" },
  { title: "between the worker's kubelet's exchange and the uncordon", trap: kubelet("w1"), how: "power" },
];

/** An upgrade that is killed on the host itself, or whose host loses its power: the next run finishes it. */
describe("upgrades killed on the host", function () {
  inSteps();
  this.timeout(3 * 60 * 60_000);

  before(async () => {
    useOwnStack();
    process.env.MIRROR_BUNDLES = "default patch";
    await lab.bareHosts();
    const { kubernetesVersion } = JSON.parse(lab.read("bundles/patch/bundle.json")) as { kubernetesVersion: string };
    useStack({ kubernetes: { version: kubernetesVersion, drainSeconds: 60 } });
    await engineOk(["up"], 900);
    expect(keep(), "the ConfigMap was written").to.equal(true);
    refreshKubeconfig();
    for (const node of ["cp2", "w1"] as const) givePod(node, kubernetesVersion);
    useStack({ kubernetes: { drainSeconds: 60 } });
  });
  after(async () => {
    useOwnStack();
    delete process.env.MIRROR_BUNDLES;
    await lab.run("lab/down", [], 300);
  });

  for (const { title, trap, how } of cases) {
    it(`${title}: ${how} on ${trap.host}`, async () => {
      await interrupt(trap, how, "up", 1200);
    });
  }

  it("the next run finishes all of them", async () => {
    await engineOk(["up"], 1800);
    await expectWhole();
    const versions = new Set(lab.readyNodes().map(({ version }) => version));
    expect([...versions]).to.deep.equal([
      `v${lab.read("bundle/bundle.json").match(/"kubernetesVersion": *"([^"]+)"/)?.[1]}`,
    ]);
  });
});
