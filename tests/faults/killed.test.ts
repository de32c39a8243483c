import { expect } from "chai";
import { keep } from "../lab/kept";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { allowed, expectAsBefore, type HostState, stateOf } from "../lab/leftovers";
import { interrupt, kubeadm, kubectl, type Trap } from "../lab/traps";

import { proxies } from "./agents";
import { ensureCluster } from "./cluster";
import { engineOk, ownNodes, useOwnStack, useStack } from "./stack";
import { expectWhole } from "./whole";

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
  useOwnStack();
  await lab.bareHosts();
}

async function noHosts(): Promise<void> {
  useOwnStack();
  await lab.run("lab/down", [], 300);
}

/** A stage that is killed on the host itself, or whose host loses its power: the next run finishes it, and nothing is lost. */
describe("stages killed on the host", function () {
  inSteps();
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

const drain = (host: lab.HostName) => kubectl("cp1", ` drain ${host} `, "after");
const memberRemoved = kubectl("cp1", "exec etcd-.* member remove", "after");
const rollout = kubectl("cp1", "rollout status daemonset.apps/cilium ", "before");
const without = (...names: string[]) => ownNodes().filter(({ name }) => !names.includes(name));

/** Changes of a whole cluster, in their order: each is killed at these points, one run after the other, and then finished. */
const changes: { title: string; stack: () => Record<string, unknown>; cases: Case[]; left: readonly lab.HostName[] }[] =
  [
    {
      title: "a changed value of Cilium",
      stack: () => ({ cilium: { values: { l7Proxy: false } } }),
      cases: [
        { title: "in Cilium's restart", trap: rollout, how: "kill" },
        { title: "in Cilium's restart", trap: rollout, how: "power" },
      ],
      left: lab.hosts,
    },
    {
      title: "a removal of a control plane and a worker",
      stack: () => ({ cilium: { values: { l7Proxy: false } }, nodes: without("cp3", "w1") }),
      cases: [
        { title: "in a drain", trap: drain("cp3"), how: "kill" },
        { title: "the member has left etcd", trap: memberRemoved, how: "kill" },
        { title: "in a drain", trap: drain("w1"), how: "power" },
      ],
      left: ["cp1", "cp2"],
    },
    {
      title: "both added again, and Cilium's value as it was",
      stack: () => ({}),
      cases: [
        { title: "in a worker's join", trap: kubeadm("w1", join, "after"), how: "kill" },
        {
          title: "a worker's Node has its note, before the sentinel",
          trap: kubectl("w1", note, "after"),
          how: "power",
        },
      ],
      left: lab.hosts,
    },
    {
      title: "a removal of a control plane",
      stack: () => ({ nodes: without("cp3") }),
      cases: [{ title: "the member has left etcd", trap: memberRemoved, how: "power" }],
      left: ["cp1", "cp2", "w1"],
    },
  ];

/** The same, in a cluster that is whole. */
describe("changes and removals killed on the host", function () {
  inSteps();
  this.timeout(3 * 60 * 60_000);

  before(async () => {
    useOwnStack();
    await ensureCluster();
    keep();
    await expectWhole();
  });
  after(noHosts);

  for (const { title, stack, cases, left } of changes) {
    for (const one of cases) {
      it(`${title}, ${one.title}: ${one.how} on ${one.trap.host}`, async () => {
        useStack({ kubernetes: { drainSeconds: 60 }, ...stack() });
        await interrupt(one.trap, one.how, "up");
      });
    }
    it(`${title}: the next run finishes it`, async () => {
      useStack({ kubernetes: { drainSeconds: 60 }, ...stack() });
      await engineOk(["up"], 1_200);
      await expectWhole(left);
      const isOn = !("cilium" in stack());
      expect(proxies(), "l7Proxy on all nodes").to.deep.equal(left.map((host) => `${host} ${isOn}`));
    });
  }
});

/** A clean-up that is killed is finished by the next one, and leaves as little as one that was not. */
for (const host of ["w1", "cp1"] as const) {
  describe(`a destroy killed on ${host} itself`, function () {
    inSteps();
    this.timeout(60 * 60_000);
    const former = new Map<lab.HostName, HostState>();

    before(async () => {
      useOwnStack();
      // From the bundle no packages are left on the hosts.
      await lab.bareHosts([], "bundle");
      for (const one of lab.hosts) former.set(one, stateOf(one));
      await engineOk(["up"], 900);
    });
    after(noHosts);

    it("before kubeadm's reset: kill", () => interrupt(kubeadm(host, "^reset", "before"), "kill", "destroy"));
    it("after kubeadm's reset: power", () => interrupt(kubeadm(host, "^reset", "after"), "power", "destroy"));

    it("the next run finishes it, and each host is as it was", async () => {
      await engineOk(["destroy"], 900);
      expect(lab.devices()).to.deep.equal([]);
      for (const one of lab.hosts) expectAsBefore(one, former.get(one)!, allowed);
    });
  });
}
