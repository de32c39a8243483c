import { expect } from "chai";
import * as lab from "../lab/lab";
import { interrupt, kubeadm, kubectl, type Trap } from "../lab/traps";

import { engineOk, ownNodes, refreshKubeconfig, useOwnStack, useStack } from "./stack";
import { expectWhole, keep } from "./whole";

interface Case {
  title: string;
  trap: Trap;
  how: "kill" | "power";
}

const init = "^init --skip";
const join = "^join --config";
/** The note on the Node object, which comes right before the sentinel. */
const note = "annotate --overwrite node .* tailkube.dev/joined";

// In the order of a run: each next run gets past the point at which the one before it was killed.
const creation: Case[] = [
  { title: "the PKI is written", trap: kubeadm("cp1", init, "before"), how: "kill" },
  {
    title: "in kubeadm init, etcd's manifest is there",
    trap: kubeadm("cp1", init, "during", "/etc/kubernetes/manifests/etcd.yaml"),
    how: "power",
  },
  { title: "after init, before the sentinel", trap: kubeadm("cp1", init, "after"), how: "kill" },
  { title: "the founder's Node has its note, before the sentinel", trap: kubectl("cp1", note, "after"), how: "power" },
  { title: "in a join, before the learner", trap: kubeadm("cp2", join, "before"), how: "kill" },
  { title: "the second voter is promoted, before the sentinel", trap: kubeadm("cp2", join, "after"), how: "kill" },
  {
    title: "the second voter's Node has its note, before the sentinel",
    trap: kubectl("cp2", note, "after"),
    how: "power",
  },
  { title: "in a join of the third, before the learner", trap: kubeadm("cp3", join, "before"), how: "power" },
  { title: "the third voter is promoted, before the sentinel", trap: kubeadm("cp3", join, "after"), how: "power" },
  { title: "the third voter's Node has no note yet", trap: kubectl("cp3", note, "before"), how: "kill" },
  {
    title: "in the wait for Cilium",
    trap: kubectl("cp1", "rollout status daemonset.apps/cilium ", "before"),
    how: "kill",
  },
];

async function newHosts(): Promise<void> {
  await lab.run("lab/down", [], 300);
  useOwnStack();
  await lab.run("lab/artifacts/build", [], 60 * 60);
  await lab.run("lab/hosts/hosts", ["up"], 15 * 60);
  await lab.run("lab/tailnet/tailnet", ["up"], 120);
}

async function noHosts(): Promise<void> {
  useOwnStack();
  await lab.run("lab/down", [], 300);
}

/** A stage that is killed on the host itself, or whose host loses its power: the next run finishes it, and nothing is lost. */
describe("stages killed on the host", function () {
  this.bail(true);
  this.timeout(3 * 60 * 60_000);

  let written = false;

  before(newHosts);
  after(noHosts);

  for (const { title, trap, how } of creation) {
    it(`${title}: ${how} on ${trap.host}`, async () => {
      await interrupt(trap, how, "up");
      written ||= keep();
    });
  }

  it("the next run finishes all of them", async () => {
    await engineOk(["up"], 900);
    expect(written, "a ConfigMap was written while the cluster was being made").to.equal(true);
    await expectWhole();
    console.log(`      checks: ${lab.repeatChecks().trim()}`);
  });
});

/** The same, in a cluster that is whole. */
describe("changes and removals killed on the host", function () {
  this.bail(true);
  this.timeout(3 * 60 * 60_000);

  before(async () => {
    await newHosts();
    await engineOk(["up"], 900);
    expect(keep(), "the ConfigMap was written").to.equal(true);
  });
  after(noHosts);

  const use = (changes: Record<string, unknown>) => useStack({ drainSeconds: 60, ...changes });
  const nodesWithout = (name: string) => ownNodes().filter((node) => node.name !== name);

  for (const how of ["kill", "power"] as const) {
    it(`in a removal, the member has left etcd: ${how} on cp1`, async () => {
      use({ nodes: nodesWithout("cp3") });
      await interrupt(kubectl("cp1", "exec etcd-.* member remove", "after"), how, "up");
      await engineOk(["up"], 900);
      await expectWhole(["cp1", "cp2", "w1"]);
      use({});
      await engineOk(["up"], 900);
      await expectWhole();
    });
  }

  for (const [how, at] of [
    ["kill", kubeadm("w1", join, "after")],
    ["power", kubectl("w1", note, "after")],
  ] as const) {
    it(`in a drain of a node that is removed: ${how} on cp1; in its join when it is added again: ${how} on w1`, async () => {
      use({ nodes: nodesWithout("w1") });
      await interrupt(kubectl("cp1", " drain w1 ", "after"), how, "up");
      await engineOk(["up"], 900);
      await expectWhole(["cp1", "cp2", "cp3"]);
      use({});
      await interrupt(at, how, "up");
      await engineOk(["up"], 900);
      await expectWhole();
    });
  }

  /** What each node's running agent of Cilium has of its L7 proxy. */
  const proxies = () => {
    refreshKubeconfig();
    const list = ["get", "pods", "-l", "k8s-app=cilium", "-o", "jsonpath={range .items[*]}{.metadata.name} {end}"];
    const pods = lab
      .kubectl("-n", "kube-system", ...list)
      .trim()
      .split(" ");
    return pods.map((pod) => {
      const said = lab.kubectl(
        "-n",
        "kube-system",
        "exec",
        pod,
        "-c",
        "cilium-agent",
        "--",
        "cilium-dbg",
        "config",
        "-a",
      );
      return /^EnableL7Proxy\s*:\s*(\S+)/m.exec(said)?.[1];
    });
  };

  for (const [how, l7Proxy] of [
    ["kill", false],
    ["power", true],
  ] as const) {
    it(`in Cilium's restart: ${how} on cp1, l7Proxy ${l7Proxy}`, async () => {
      use({ ciliumValues: { l7Proxy } });
      await interrupt(kubectl("cp1", "rollout status daemonset.apps/cilium ", "before"), how, "up");
      await engineOk(["up"], 900);
      await expectWhole();
      expect(proxies(), "l7Proxy on all nodes").to.deep.equal(lab.hosts.map(() => `${l7Proxy}`));
    });
  }

  it("in an undo: before and after kubeadm's reset", async () => {
    await interrupt(kubeadm("w1", "^reset", "before"), "kill", "destroy");
    await interrupt(kubeadm("w1", "^reset", "after"), "power", "destroy");
    await engineOk(["destroy"], 900);
    for (const host of lab.hosts) {
      const ours = ["/var/lib/tailkube", "/etc/tailkube", "/etc/kubernetes", "/usr/local/lib/tailkube"];
      expect(lab.existing(host, ...ours), `what is left on ${host}`).to.deep.equal([]);
    }
    expect(lab.devices()).to.deep.equal([]);
  });
});
