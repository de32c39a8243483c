import { expect } from "chai";
import type { Call, Fault, Run } from "./nth-call";
import { isChange } from "./nth-call";
import { messageOf, names, partsFrom, saysOther, subjectsOf, unanswered } from "./nth-call.oracle";
import type { Scenario } from "./nth-call.scenarios";

const scenario: Scenario = {
  title: "x",
  stage: "finalize",
  verb: "apply",
  node: { name: "cp1", ip: "100.64.0.1", role: "control-plane" },
  before: () => undefined,
  putsBack: [[/^kubectl uncordon /, "a drain that failed"]],
};

function callsOf(...texts: string[]): Call[] {
  const seen = new Map<string, number>();
  return texts.map((text) => {
    const occurrence = (seen.get(text) ?? 0) + 1;
    seen.set(text, occurrence);
    const [command, ...words] = text.split(" ");
    return { text, occurrence, about: "", change: isChange(command!, words.join(" ")) };
  });
}
const runOf = (status: number, ...texts: string[]): Run => ({
  calls: callsOf(...texts),
  status,
  stdout: "",
  stderr: "",
  end: {},
});
const faultOf = (text: string, mode: Fault["mode"] = "once", occurrence = 1): Fault => ({
  text,
  occurrence,
  about: "",
  mode,
});

describe("The oracle of the Nth call", () => {
  const ready = "kubectl get node cp3 -o name";
  const drain = "kubectl drain cp3";
  const remove = "kubectl delete node cp3";
  const good = callsOf(ready, drain, remove);
  const parts = (fault: Fault, run: Run) => partsFrom(scenario, good, run, fault);

  it("takes a run that stops at the fault, one that asks or does the very thing again, and what puts it back", () => {
    expect(parts(faultOf(ready), runOf(1, ready))).to.equal(undefined);
    expect(parts(faultOf(ready), runOf(0, ready, ready, drain, remove))).to.equal(undefined);
    expect(parts(faultOf(drain), runOf(0, ready, drain, drain, remove))).to.equal(undefined);
    expect(parts(faultOf(drain), runOf(1, ready, drain, "kubectl uncordon cp3"))).to.equal(undefined);
  });

  it("rejects a change that is new, comes once more, too early, or is left out", () => {
    expect(parts(faultOf(ready), runOf(1, ready, "kubectl delete node cp2"))).to.match(/^issues what is not issued/);
    expect(parts(faultOf(remove), runOf(0, ready, drain, remove, drain))).to.match(/^issues once more: kubectl drain/);
    expect(parts(faultOf(drain), runOf(1, ready, remove))).to.match(/^issues too early: kubectl delete/);
    expect(parts(faultOf(drain), runOf(0, ready, drain))).to.match(/^leaves out: kubectl delete/);
  });

  it("rejects a change after a question that got no answer, unless it was asked again", () => {
    const after = (mode: Fault["mode"], ...texts: string[]) =>
      unanswered(scenario, runOf(0, ...texts), faultOf(ready, mode));
    expect(after("once", ready, drain)).to.match(/^goes on without an answer, to: kubectl drain/);
    expect(after("once", ready, ready, drain)).to.equal(undefined);
    expect(after("always", ready, ready, drain)).to.match(/^goes on without an answer/);
    expect(after("lost", ready, "kubectl uncordon cp3")).to.equal(undefined);
    // Another host's answer is as good.
    const ssh = (address: string) => `ssh -F /dev/null ${address} true`;
    const hosts = runOf(0, ssh("192.0.2.1"), ssh("192.0.2.2"), "destroy");
    expect(unanswered(scenario, hosts, faultOf(ssh("192.0.2.1")))).to.equal(undefined);
    expect(unanswered(scenario, hosts, faultOf(ssh("192.0.2.2")))).to.match(/^goes on/);
  });

  it("takes the answers of others only where they are asked, and only for the question that they stand for", () => {
    const other = "kubectl exec etcd-cp2 -- etcdctl endpoint health --cluster";
    const own = "ctr -n k8s.io tasks ls";
    const instead = [{ of: /^ctr .* tasks ls$/, asks: /^kubectl exec etcd-cp2 /, why: "a majority" }];
    const after = (question: string, ...texts: string[]) =>
      unanswered({ ...scenario, instead }, runOf(0, question, ...texts), faultOf(question, "always"));
    expect(after(own, own, other, drain)).to.equal(undefined);
    expect(after(own, own, drain, other)).to.match(/^goes on without an answer/);
    expect(after(ready, other, drain)).to.match(/^goes on without an answer/);
  });

  it("takes a measured path that is unknown, after a measurement that failed, and no other difference of what a stage says", () => {
    const says = (stdout: string) => ({ ...runOf(0), stdout });
    const paths = (roundTrips: string, rest = "x") => says(JSON.stringify({ changed: [], rest, roundTrips }));
    const whole = paths("cp2 0.3 50 50 direct\ncp3 0.4 50 50 direct");
    const ping = faultOf("tailscale ping -c 8 --timeout 2s 100.64.0.3");
    const unknown = paths("cp2 0.3 50 50 direct\ncp3 0.4 50 50 -");
    expect(saysOther(whole, unknown, ping)).to.equal(undefined);
    expect(saysOther(whole, paths(""), ping)).to.equal(undefined);
    expect(saysOther(whole, unknown, faultOf(ready))).to.match(/^says: /);
    expect(saysOther(whole, paths("cp2 0.3 50 50 direct\ncp3 0.9 50 50 -"), ping)).to.match(/^says: /);
    expect(saysOther(whole, paths("cp2 0.3 50 50 direct"), ping)).to.match(/^says: /);
    expect(saysOther(whole, paths("", "y"), ping)).to.match(/^says: /);
    expect(saysOther(says("a"), says("b"), ping)).to.match(/^says: /);
  });

  it("wants a word of what was asked in the message", () => {
    const node =
      "kubectl --request-timeout=20s --kubeconfig /etc/kubernetes/admin.conf get node cp3 -o jsonpath={.spec.taints}";
    expect(subjectsOf(node)).to.deep.equal(["node", "cp3"]);
    expect(names("no answer after 60 s to the question which taints the nodes have", node)).to.equal(true);
    expect(names("the API does not answer after 60 s, kubectl says nothing", node)).to.equal(false);
    const member = "kubectl -n kube-system exec etcd-cp1 -- etcdctl member list";
    expect(names("no answer to the question which members there are", member)).to.equal(true);
    expect(names("no answer to the question which nodes there are", member)).to.equal(false);
    expect(names("systemctl cannot start kubelet", "systemctl restart kubelet.service")).to.equal(true);
    expect(names("systemctl cannot start containerd", "systemctl restart kubelet.service")).to.equal(false);
    expect(names("the setting net.ipv4.ip_forward is unknown", "sysctl -n net.ipv4.ip_forward")).to.equal(true);
    expect(names("the routes are unknown", "ip -4 route show table main")).to.equal(true);
    expect(names("the rules are unknown", "ip -4 route show table main")).to.equal(false);
  });

  it("does not take the words of the command that failed for the stage's", () => {
    const said = "apt-get: input/output error";
    const run = {
      ...runOf(1),
      stderr: `${said}\ntailkube: cp1: finalize: it cannot be known what is there (${said})\n`,
    };
    const message = messageOf(scenario, run, said);
    expect(message).to.equal("it cannot be known what is there ()");
    expect(names(message!, "apt-get install kubelet")).to.equal(false);
    expect(messageOf(scenario, { ...run, stderr: "" }, said)).to.equal(undefined);
  });
});
