import { expect } from "chai";
import * as lab from "../lab/lab";
import { interrupt, type Trap } from "./traps";
import { engineOk, ownNodes, refreshKubeconfig, useOwnStack, useStack } from "./stack";

interface Case {
  title: string;
  trap: Trap;
  how: "kill" | "power";
}

const init = "^init --skip";
const join = "^join --config";
/** The note on the Node object, which comes right before the sentinel. */
const note = "annotate --overwrite node .* tailkube.dev/joined";
const kubeadm = (host: lab.HostName, matching: string, at: Trap["at"], file?: string): Trap => ({
  host,
  command: "kubeadm",
  matching,
  at,
  ...(file !== undefined && { file }),
});
const kubectl = (host: lab.HostName, matching: string, at: Trap["at"]): Trap => ({
  host,
  command: "kubectl",
  matching,
  at,
});

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
  { title: "a worker has joined, before its note", trap: kubeadm("w1", join, "after"), how: "kill" },
  { title: "a worker has its note, before the sentinel", trap: kubectl("w1", note, "after"), how: "power" },
  {
    title: "in the wait for Cilium",
    trap: kubectl("cp1", "rollout status daemonset/cilium", "before"),
    how: "kill",
  },
];

/** A stage that is killed on the host itself, or whose host loses its power: the next run finishes it, and nothing is lost. */
describe("stages killed on the host", function () {
  this.bail(true);
  this.timeout(3 * 60 * 60_000);

  const admin = "KUBECACHEDIR=/run/kube-cache kubectl --request-timeout=20s --kubeconfig /etc/kubernetes/admin.conf";
  let written = false;

  before(async () => {
    await lab.run("lab/down", [], 300);
    useOwnStack();
    await lab.run("lab/artifacts/build", [], 60 * 60);
    await lab.run("lab/artifacts/build", ["patch"], 60 * 60);
    await lab.run("lab/hosts/hosts", ["up"], 15 * 60);
    await lab.run("lab/tailnet/tailnet", ["up"], 120);
    use({});
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  /** The lab's stack at the older patch release, with these changes. */
  const use = (changes: Record<string, unknown>) =>
    useStack({
      kubernetesVersion: olderVersion(),
      bundle: "/opt/tailkube-bundles/patch",
      drainSeconds: 60,
      ...changes,
    });

  /** Writes the ConfigMap that every later state has to have, as soon as there is an API to take it. */
  function writeOnce(): void {
    if (written) return;
    const said = lab.onHost("cp1", `${admin} create configmap tailkube-kept --from-literal=word=kept 2>/dev/null`);
    written = said.includes("created");
  }

  function members(on: lab.HostName): string[] {
    return lab
      .onHost(on, "/usr/local/lib/tailkube/etcd ctl member list")
      .trim()
      .split("\n")
      .map((line) => line.split(", "))
      .map(([, state, name, , , learner]) => `${name} ${state}${learner === "true" ? " learner" : ""}`)
      .sort();
  }

  /** The cluster is whole: etcd's members are the control planes, every node is Ready, and what was written is there. */
  async function expectWhole(names: readonly lab.HostName[] = lab.hosts): Promise<void> {
    refreshKubeconfig();
    const planes = names.filter((name) => name.startsWith("cp"));
    for (const host of planes) {
      expect(members(host), `etcd's members as ${host} has them`).to.deep.equal(
        planes.map((name) => `${name} started`),
      );
      expect(
        lab.onHost(host, `${admin} get configmap tailkube-kept -o 'jsonpath={.data.word}'`),
        `the ConfigMap by way of ${host}`,
      ).to.equal("kept");
    }
    await lab.until("every node Ready", () => lab.readyNodes().length === names.length, 180);
    const cordoned = lab.kubectl(
      "get",
      "nodes",
      "-o",
      "jsonpath={.items[?(@.spec.unschedulable==true)].metadata.name}",
    );
    expect(cordoned, "cordoned nodes").to.equal("");
  }

  for (const { title, trap, how } of creation) {
    it(`${title}: ${how} on ${trap.host}`, async () => {
      await interrupt(trap, how, "up");
      writeOnce();
    });
  }

  it("the next run finishes all of them", async () => {
    await engineOk(["up"], 900);
    expect(written, "a ConfigMap was written while the cluster was being made").to.equal(true);
    await expectWhole();
    console.log(`      checks: ${lab.repeatChecks().trim()}`);
  });

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

  for (const how of ["kill", "power"] as const) {
    it(`in a drain of a node that is removed: ${how} on cp1`, async () => {
      use({ nodes: nodesWithout("w1") });
      await interrupt(kubectl("cp1", " drain w1 ", "after"), how, "up");
      await engineOk(["up"], 900);
      await expectWhole(["cp1", "cp2", "cp3"]);
      use({});
      await engineOk(["up"], 900);
      await expectWhole();
    });
  }

  it("in an upgrade: an eviction, the kubelet's exchange, Cilium's restart, on control planes and a worker", async () => {
    useStack({ drainSeconds: 60 });
    const kubelet = (host: lab.HostName): Trap => ({
      host,
      command: "systemctl",
      matching: "^restart kubelet",
      at: "after",
    });
    const eviction = (host: lab.HostName): Trap => ({ host, command: "curl", matching: "/eviction", at: "after" });
    await interrupt(kubelet("cp1"), "kill", "up");
    await interrupt(eviction("cp2"), "power", "up");
    await interrupt(kubelet("cp2"), "power", "up");
    await interrupt(kubeadm("cp3", "^upgrade node", "after"), "kill", "up");
    await interrupt(eviction("w1"), "kill", "up");
    await interrupt(kubelet("w1"), "power", "up");
    await engineOk(["up"], 1200);
    await expectWhole();
  });

  it("in an undo: before and after kubeadm's reset", async () => {
    await interrupt(kubeadm("w1", "^reset", "before"), "kill", "destroy");
    await interrupt(kubeadm("cp2", "^reset", "after"), "power", "destroy");
    await engineOk(["destroy"], 900);
    for (const host of lab.hosts) {
      const left = lab.onHost(
        host,
        "ls -d /var/lib/tailkube /etc/tailkube /etc/kubernetes /usr/local/lib/tailkube 2>/dev/null",
      );
      expect(left.trim(), `what is left on ${host}`).to.equal("");
    }
    expect(lab.devices()).to.deep.equal([]);
  });
});

/** The version that the bundle `patch` holds: an older patch release than the lab's own. */
function olderVersion(): string {
  return (JSON.parse(lab.read("bundles/patch/bundle.json")) as { kubernetesVersion: string }).kubernetesVersion;
}
