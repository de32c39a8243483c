/**
 * Hubble's relay on a running cluster: switched on without a restart of Cilium's agents, checked at the end of the run; a path that a
 * policy cuts, whose failed check shows the dropped packet and its reason; the relay cut off from a node; and switched off again, with
 * nothing left of it. The UI cannot be built here, so it is in no image. The tests build on each other.
 */
import { expect } from "chai";
import * as lab from "../lab/lab";
import { inSteps } from "../lab/steps";
import { agents } from "./agents";
import { command } from "./faults";
import { engine, engineOk, refreshKubeconfig, useOwnStack, useStack } from "./stack";

const upSeconds = 45 * 60;
/** Everything of Hubble's in the cluster, but what the agents have by themselves. */
const kinds = "all,secrets,configmaps,serviceaccounts,endpointslices,jobs,cronjobs,ingresses,poddisruptionbudgets";

const uids = () => agents().map(({ node, uid }) => `${node} ${uid}`);

/** Objects that have to do with the relay or the UI, and the agents' own objects of Hubble. */
function objects(): { added: string[]; own: string[] } {
  const names = [
    ...lab.kubectl("-n", "kube-system", "get", kinds, "-o", "name").split("\n"),
    ...lab.kubectl("get", "clusterroles,clusterrolebindings,crds", "-o", "name").split("\n"),
  ].filter((name) => name.includes("hubble"));
  const isAdded = (name: string) => /hubble-(relay|ui|generate)/.test(name);
  return { added: names.filter(isAdded), own: names.filter((name) => !isAdded(name)).sort() };
}

const certificate = () =>
  lab.kubectl("-n", "kube-system", "get", "secret", "hubble-server-certs", "-o", "jsonpath={.metadata.uid}");

/** What the checks find, run as a command on a control plane. */
const failures = () => (JSON.parse(lab.checksCommand("cp1", ["--json"]).stdout) as { failures: string[] }).failures;

/** What no pod of the checks may do: answer on w1 to any pod. */
const policy = {
  apiVersion: "cilium.io/v2",
  kind: "CiliumClusterwideNetworkPolicy",
  metadata: { name: "hubble-fault" },
  spec: { endpointSelector: { matchLabels: { probe: "w1" } }, ingressDeny: [{ fromEntities: ["cluster"] }] },
};

describe("Hubble's relay", function () {
  inSteps();
  this.timeout(60 * 60_000);
  let restarts: string[] = [];
  let own: string[] = [];
  let secret = "";

  before(async () => {
    useOwnStack();
    // With the image of the relay, which a cluster from before has not imported.
    await lab.bareHosts([], "bundle");
    await engineOk(["up"], upSeconds);
    refreshKubeconfig();
    const found = objects();
    expect(found.added).to.deep.equal([]);
    [restarts, own, secret] = [uids(), found.own, certificate()];
  });
  after(async () => {
    useOwnStack();
    await lab.run("lab/down", [], 300);
  });

  it("is previewed as what restarts nothing, and starts without a restart of an agent", async () => {
    useStack({ hubble: { relay: true } });
    const preview = await engine(["preview"], 600);
    expect(preview.text).to.include("Hubble's relay starts; Cilium's own pods do not restart");
    const seconds = await engineOk(["up"], upSeconds);
    console.log(`      switched on within ${seconds.toFixed(0)} s`);
    expect(uids(), "the agents").to.deep.equal(restarts);
    expect(certificate(), "the agents' certificate").to.equal(secret);
    expect(objects().added).to.include.members([
      "deployment.apps/hubble-relay",
      "service/hubble-relay",
      "secret/hubble-relay-client-certs",
    ]);
  });

  it("shows the flows of all nodes, by the checks on any control plane; a second run changes nothing", async () => {
    for (const host of ["cp1", "cp3"] as const) {
      const { status, stdout } = lab.checksCommand(host, ["--json"]);
      expect((JSON.parse(stdout) as { failures: string[] }).failures).to.deep.equal([]);
      expect(status).to.equal(0);
    }
    const again = await engine(["up"], upSeconds);
    expect(again.code, again.text.slice(-1500)).to.equal(0);
    expect(again.text).to.match(/Resources: \d+ unchanged/);
    expect(again.text).to.not.match(/\d+ (updated|created|deleted|replaced)/);
  });

  it("a policy that cuts a node's probe: the failed check names it as the reason, from the node that dropped the packet", async () => {
    lab.apply(JSON.stringify(policy));
    let found: string[] = [];
    await lab.until("a check fails", () => (found = failures()).some((line) => line.startsWith("pod from")), 900);
    lab.kubectl("delete", "ciliumclusterwidenetworkpolicies.cilium.io", "hubble-fault");
    const line = found.find((one) => /^pod from .* to w1/.test(one));
    console.log(`      ${line}`);
    expect(line, found.join("\n")).to.match(/; Hubble on w1: tailkube-checks-cp1\/cp\d.*tailkube-checks-cp1\/w1:8080/);
    expect(line).to.match(/Policy denied|DENIED/);
    await lab.until("the checks find nothing", () => failures().length === 0, 900);
  });

  it("a port that a firewall closes: the checks name the node of which the relay has no flows", async () => {
    const table = "inet hubble_fault";
    const rule = "tcp dport 4244 reject with tcp reset";
    command(
      "w1",
      `nft "add table ${table}; add chain ${table} in { type filter hook input priority -300; }; add rule ${table} in ${rule}"`,
    );
    try {
      // An open connection does not notice: the relay is started again.
      lab.kubectl("-n", "kube-system", "delete", "pod", "-l", "k8s-app=hubble-relay");
      await lab.until(
        "the checks name w1",
        () =>
          failures().some((line) =>
            /^hubble-relay: .*it has no flows of w1 \(1 of 4 nodes\)|^hubble-relay: not ready/.test(line),
          ),
        900,
      );
    } finally {
      command("w1", `nft delete table ${table}`);
    }
    await lab.until("the checks find nothing", () => failures().length === 0, 900);
  });

  it("switched off, nothing of it is left, and no agent has restarted", async () => {
    useOwnStack();
    await engineOk(["up"], upSeconds);
    expect(objects()).to.deep.equal({ added: [], own });
    expect(uids()).to.deep.equal(restarts);
    expect(certificate()).to.equal(secret);
    await lab.until(
      "no pod of the relay is left",
      () => lab.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=hubble-relay", "-o", "name") === "",
      60,
    );
    expect(failures()).to.deep.equal([]);
  });
});
