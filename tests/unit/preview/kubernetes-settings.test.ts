/** What a preview says of changed settings of Kubernetes. */
import { expect } from "chai";
import { memberProblems } from "../../../preview/members";
import { planOf } from "../../../preview/steps";
import { waves } from "../../../preview/plan";
import { wordsOf } from "../../../preview/text";
import { configOf, minimal } from "../config/fixtures";
import { afterRunOf, outputsOf } from "../fixtures";

const extraArgs = [{ name: "v", value: "4" }];
const withNode = (kubelet: object) => ({
  nodes: (minimal.nodes as object[]).map((one, i) => (i === 3 ? { ...one, kubelet } : one)),
});
const putsBack = "and puts the former settings back if one does not come up";

/** The lines of the plan from one config to another. */
function lines(before: object, after: object): string[] {
  const plan = planOf(configOf(after as never), afterRunOf(configOf(before as never)));
  return waves(plan.steps).flatMap(wordsOf);
}
const of = (kubernetes: object) => ({ kubernetes });

describe("the preview of changed settings of Kubernetes", () => {
  it("says which nodes restart what, because of which key, one after the other", () => {
    const found = lines({}, of({ apiServer: { extraArgs }, scheduler: { extraArgs } }));
    expect(found.slice(0, 3)).to.deep.equal(
      ["cp1", "cp2", "cp3"].map(
        (name) =>
          `${name}: restarts its API server and its scheduler because of kubernetes.apiServer and kubernetes.scheduler, ${putsBack} [disturbs clients of its API server, which reconnect to another control plane if there is one]`,
      ),
    );
    expect(found.some((line) => line.includes("w1: restarts"))).to.equal(false);
    expect(found.join("\n")).to.not.include("drained");
  });

  it("names the kubelets of all nodes for theirs, and of one for its own", () => {
    const all = lines({}, of({ kubelet: { maxPods: 50 } }));
    expect(all.slice(0, 4).map((line) => line.split(" because")[0])).to.deep.equal([
      ...["cp1", "cp2", "cp3"].map((name) => `${name}: restarts its kubelet and its API server`),
      "w1: restarts its kubelet",
    ]);
    expect(lines({}, withNode({ maxPods: 50 }))[0]).to.equal(
      `w1: restarts its kubelet because of nodes[3].kubelet, ${putsBack}`,
    );
  });

  it("names what feature gates and etcd's arguments restart", () => {
    expect(lines({}, of({ featureGates: { A: true } }))[0]).to.match(
      /^cp1: restarts its kubelet, its API server, its controller manager and its scheduler because/,
    );
    expect(lines({}, of({ etcd: { extraArgs } }))[0]).to.match(
      /^cp1: restarts its etcd member and its API server because/,
    );
  });

  it("has etcd's time-outs in it, one member after the other, if they are not etcd's own", () => {
    const far = of({ etcd: { roundTripMilliseconds: 250 } });
    const timing = "heartbeat 125 ms, election time-out 4000 ms";
    const changed = lines({}, far).slice(0, 3);
    for (const [i, line] of changed.entries()) {
      expect(line).to.match(new RegExp(`^cp${i + 1}: restarts its etcd member and its API server`));
      expect(line).to.include(`because of kubernetes.etcd (etcd: ${timing}), ${putsBack}`);
    }
    expect(lines(far, {})[0]).to.include(`because of kubernetes.etcd, ${putsBack}`);
    // Changed keys other than etcd's, and etcd's without time-outs.
    expect(lines(far, of({ etcd: { roundTripMilliseconds: 250 }, scheduler: { extraArgs } }))[0]).to.not.include(
      timing,
    );
    expect(lines({}, of({ etcd: { extraArgs } }))[0]).to.not.include("(etcd:");
    const founding = waves(planOf(configOf(far), undefined).steps).flatMap(wordsOf);
    expect(founding.filter((line) => line.includes(timing))).to.have.lengthOf(1);
    expect(founding.join("\n")).to.match(
      /cp1: initializes the cluster, with the endpoint \S+, with etcd's heartbeat 125 ms, /,
    );
  });

  it("says the same of a key that is removed, and nothing of what stays", () => {
    const with_ = of({ apiServer: { extraArgs } });
    expect(lines(with_, {})[0]).to.include("because of kubernetes.apiServer");
    expect(lines(with_, with_)).to.deep.equal([]);
    // A stack of an older program.
    expect(outputsOf(configOf()).applied).to.not.have.property("kubernetesSettings");
  });

  it("counts the nodes as restarted, and no secret content is left for the next preview", () => {
    const files = {
      apiServer: {
        extraArgs: [{ name: "x", value: "/etc/kubernetes/tailkube/api-server/a" }],
        extraFiles: [{ name: "a", content: "hunter2" }],
      },
    };
    const config = configOf(of(files));
    const plan = planOf(config, afterRunOf(configOf()));
    expect(plan.nodes.map(({ changes }) => changes)).to.deep.equal([
      ["restarted"],
      ["restarted"],
      ["restarted"],
      ["untouched"],
    ]);
    const other = configOf(of({ apiServer: { ...files.apiServer, extraFiles: [{ name: "a", content: "hunter3" }] } }));
    expect(outputsOf(other)).to.deep.equal(outputsOf(config));
  });

  it("refuses to change the version in the same run, and to add nodes while the only control plane restarts", () => {
    const last = afterRunOf(configOf({ kubernetes: { version: "1.36.3" } }));
    expect(memberProblems(configOf(of({ version: "1.37.2", kubelet: { maxPods: 50 } })), last)).to.deep.equal([
      'kubernetes.version: "1.37.2" cannot change in the same run as kubernetes.kubelet. Make the two changes in separate runs; remove first what the new version does not have.',
    ]);
    const one = { nodes: (minimal.nodes as object[]).slice(0, 1) };
    const two = { nodes: [(minimal.nodes as object[])[0], (minimal.nodes as object[])[3]] };
    expect(
      memberProblems(configOf({ ...two, ...of({ scheduler: { extraArgs } }) }), afterRunOf(configOf(one)))[0],
    ).to.match(/cannot join while cp1, the only control plane, restarts because of a changed kubernetes\.scheduler/);
  });
});
