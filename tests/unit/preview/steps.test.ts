import { expect } from "chai";
import fc from "fast-check";
import type { ClusterConfig } from "../../../model/config";
import { memberProblems, survivors } from "../../../preview/members";
import type { Plan, Step } from "../../../preview/plan";
import { planPicture } from "../../../preview/markdown";
import { planOf } from "../../../preview/steps";
import { upgradeProblems } from "../../../preview/version-skew";
import { configOf, minimal } from "../config/fixtures";
import { keyPair, onEc2 as fixtureOnEc2 } from "../components/hosts/ec2/fixtures";
import { renamedKeys } from "../../../model/renamed-keys";
import { lastRun } from "../../../preview/last-run";
import { afterRunOf, outputsOf } from "../fixtures";

type Node = { name: string; role: string; host: Record<string, unknown>; labels?: Record<string, string> };
const nodes = minimal.nodes as Node[];

const changesOf = (plan: Plan) => Object.fromEntries(plan.nodes.map(({ name, changes }) => [name, changes.join(" ")]));
const order = (plan: Plan) => plan.steps.map(({ kind, nodes: of }) => [kind, ...of].join(" "));
const change = (name: string, host: Record<string, unknown>) =>
  nodes.map((one) => (one.name === name ? { ...one, host: { ...one.host, ...host } } : one));
const of = (changes: Record<string, unknown>, before: Record<string, unknown> = {}) =>
  planOf(configOf(changes), afterRunOf(configOf(before)));

describe("the plan", () => {
  it("of a new cluster: one founds it, the others join, nobody is disturbed", () => {
    const plan = planOf(configOf(), undefined);
    expect(plan.isNew).to.equal(true);
    expect(changesOf(plan)).to.deep.equal({ cp1: "created", cp2: "joined", cp3: "joined", w1: "joined" });
    expect(order(plan)).to.deep.equal([
      "check cp1 cp2 cp3 w1",
      ...["prepare cp1", "prepare cp2", "prepare cp3", "prepare w1"],
      ...["init cp1", "join cp2", "join cp3", "join w1", "network", "finalize", "test"],
    ]);
    expect(plan.steps.filter(({ disturbs }) => disturbs !== undefined)).to.deep.equal([]);
  });

  it("of a new cluster in a lan speaks neither of a tailnet nor of an endpoint on the nodes", () => {
    const lan = {
      nodeNetwork: "lan",
      lan: { cidr: "192.0.2.0/24" },
      endpoint: { address: "192.0.2.11" },
      tailnetAuthKey: undefined,
    };
    const does = planOf(configOf(lan), undefined).steps.map((step) => step.does);
    expect(does).to.include.members([
      ...["gets containerd and kubelet", "initializes the cluster"],
      ...["joins as a control plane through 192.0.2.11:6443", "joins as a worker through 192.0.2.11:6443"],
    ]);
    expect(planPicture(planOf(configOf(lan), undefined), configOf(lan))).to.include('subgraph lan["lan"]');
  });

  it("of an unchanged cluster is empty", () => {
    const plan = of({});
    expect(plan.steps).to.deep.equal([]);
    expect(new Set(Object.values(changesOf(plan)))).to.deep.equal(new Set(["untouched"]));
  });

  it("is empty for what no node notices", () => {
    for (const changes of [
      { checks: "false" },
      { kubernetes: { drainSeconds: 60 } },
      { operatorEndpoint: "endpoint" },
    ]) {
      expect(of(changes).steps, JSON.stringify(changes)).to.deep.equal([]);
    }
  });

  it("is empty where an older program's outputs do not tell more than names", () => {
    const { members, kubernetes, cilium, nodes: names, controlPlanes } = afterRunOf(configOf());
    const old = {
      kubernetes,
      cilium,
      nodes: names,
      controlPlanes,
      members: members.map(({ name, role }) => ({ name, role })),
    };
    expect(
      planOf(configOf({ tailnet: { tailscaleVersion: "1.102.5" }, nodes: change("w1", { identity: "2" }) }), old).steps,
    ).to.deep.equal([]);
  });

  it("of a new worker: it joins, the others are untouched", () => {
    const plan = of({ nodes: [...nodes, { name: "w2", role: "worker", host: { address: "192.0.2.22" } }] });
    expect(changesOf(plan)).to.include({ cp1: "untouched", w1: "untouched", w2: "joined" });
    expect(order(plan)).to.deep.equal(["check w2", "prepare w2", "join w2", "finalize", "test"]);
  });

  it("of two that leave: one is drained after the other, after all that comes, and the hosts are cleaned last", () => {
    const w2 = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };
    const plan = of({ nodes: [...nodes.slice(0, 2), w2] });
    expect(changesOf(plan)).to.deep.equal({
      ...{ cp1: "untouched", cp2: "untouched", w2: "joined" },
      ...{ cp3: "drained removed", w1: "drained removed" },
    });
    expect(order(plan)).to.deep.equal([
      ...["check w2", "prepare w2", "dead-members cp3", "join w2", "removal cp3", "removal w1", "finalize", "test"],
      ...["clean cp3", "clean w1"],
    ]);
  });

  it("of another machine: the old one is cleaned, the new one joins", () => {
    const plan = of({ nodes: change("cp2", { identity: "2" }) });
    expect(changesOf(plan)).to.deep.equal({
      ...{ cp1: "untouched", cp2: "replaced joined", cp3: "untouched", w1: "untouched" },
    });
    expect(order(plan)).to.deep.equal(["check cp2", "clean cp2", "prepare cp2", "join cp2", "finalize", "test"]);
  });

  it("knows the machine by its key, and says where it cannot know", () => {
    const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5cp2";
    expect(of({ nodes: change("cp2", { hostKey: `${hostKey} root@cp2` }) }).steps).to.deep.equal([]);
    expect(changesOf(of({ nodes: change("cp2", { hostKey: `${hostKey}x` }) })).cp2).to.equal("replaced joined");
    const moved = of({ nodes: change("cp2", { address: "192.0.2.99" }) });
    expect(moved.steps).to.deep.equal([]);
    expect(moved.nodes[1]?.note).to.match(/if another machine answers, the node is replaced$/);
    const pinned = { nodes: change("cp2", { hostKey }) };
    const movedPinned = of({ nodes: change("cp2", { hostKey, address: "192.0.2.99" }) }, pinned);
    expect(movedPinned.nodes[1]).to.not.have.property("note");
  });

  it("of an upgrade: one node after the other, control planes first, workers after all of them", () => {
    const plan = of({ kubernetes: { version: "1.36.3" } }, { kubernetes: { version: "1.35.4" } });
    expect(changesOf(plan)).to.deep.equal(
      Object.fromEntries(["cp1", "cp2", "cp3", "w1"].map((name) => [name, "drained restarted"])),
    );
    expect(order(plan)).to.deep.equal([
      ...["upgrade cp1", "upgrade cp2", "upgrade cp3", "upgrade w1"],
      ...["finalize", "test"],
    ]);
    expect(plan.steps[0]?.does).to.equal("is drained, upgraded from Kubernetes 1.35.4 to 1.36.3, and restarted");
  });

  it("of an upgrade without drains, or of the only node, says that the pods stay", () => {
    const only = { nodes: nodes.slice(0, 1) };
    for (const [changes, drain] of [
      [{}, { drainSeconds: 0 }],
      [only, {}],
    ]) {
      const plan = of(
        { ...changes, kubernetes: { ...drain, version: "1.36.3" } },
        { ...changes, kubernetes: { version: "1.36.1" } },
      );
      expect(changesOf(plan).cp1).to.equal("restarted");
      expect(plan.steps[0]?.disturbs).to.match(/^its pods, which stay on it; clients of its API server$/);
    }
  });

  it("of renewed certificates: control planes alone, and nothing is drained", () => {
    const plan = of({ kubernetes: { certificateRenewal: "2026-11-21" } });
    expect(order(plan)).to.deep.equal(["restart cp1", "restart cp2", "restart cp3", "finalize", "test"]);
    expect(changesOf(plan)).to.include({ cp1: "restarted", w1: "untouched" });
  });

  it("of other software on the nodes, but not of none named", () => {
    for (const changes of [
      { tailnet: { tailscaleVersion: "1.102.5" } },
      { kubernetes: { containerdVersion: "2.2.1" } },
    ]) {
      expect(changesOf(of(changes)).w1, JSON.stringify(changes)).to.equal("drained restarted");
      expect(of({}, changes).steps, JSON.stringify(changes)).to.deep.equal([]);
    }
  });

  it("of labels and taints: told, and that NoExecute evicts", () => {
    const labelled = of({ nodes: nodes.map((one) => (one.name === "w1" ? { ...one, labels: { a: "b" } } : one)) });
    expect(changesOf(labelled)).to.include({ cp1: "untouched", w1: "relabelled" });
    expect(labelled.steps).to.have.lengthOf(1);
    expect(labelled.steps[0]).to.not.have.property("disturbs");
    const taints = [{ key: "a", effect: "NoExecute" }];
    const tainted = of({ nodes: nodes.map((one) => (one.name === "w1" ? { ...one, taints } : one)) });
    expect(tainted.steps[0]?.disturbs).to.equal("pods that do not tolerate a NoExecute taint");
  });

  it("of Cilium: its pods restart, no node does", () => {
    const plan = of({ cilium: { version: "1.21.0" } });
    expect(order(plan)).to.deep.equal(["network", "finalize", "test"]);
    expect(plan.steps[0]?.does).to.equal("Cilium changes from 1.20.2 to 1.21.0");
    expect(of({ cilium: { values: { hubble: { enabled: false } } } }).steps[0]?.does).to.equal(
      "Cilium is reconfigured with the changed values",
    );
  });

  it("of a cluster that has lost all control planes: the first founds it from the snapshot", () => {
    const lost = nodes.map((one) => ({ ...one, host: { ...one.host, identity: "2" } }));
    const plan = of({ nodes: lost, kubernetes: { restoreSnapshot: "/root/one.db" } });
    expect(plan.steps.find(({ kind }) => kind === "init")?.does).to.match(
      /^initializes the cluster from \/root\/one\.db, with the endpoint/,
    );
    expect(changesOf(plan)).to.include({ cp1: "replaced", cp2: "replaced joined" });
  });
});

describe("the plan of a virtual IP", () => {
  it("says at which address the cluster is made, and who can take it over", () => {
    const lan = { nodeNetwork: "lan", lan: { cidr: "192.0.2.0/24" }, tailnetAuthKey: undefined };
    const { steps } = planOf(configOf({ ...lan, endpoint: { address: "192.0.2.10", kind: "vip" } }), undefined);
    expect(steps.map(({ does }) => does)).to.include.members([
      "initializes the cluster, with the endpoint 192.0.2.10:6443",
      "joins as a control plane through 192.0.2.10:6443, then can take over the endpoint",
      "joins as a worker through 192.0.2.10:6443",
    ]);
  });
});

describe("the plan of machines on EC2", () => {
  const onEc2 = fixtureOnEc2(keyPair().privateKey);
  const all = onEc2.nodes as Node[];
  const w2 = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };
  const renewed = all.map((one) => (one.name === "cp2" ? { ...one, host: { ...one.host, identity: "2" } } : one));
  const ofEc2 = (changes: Record<string, unknown>) => of({ ...onEc2, ...changes }, onEc2);
  const ends = "is terminated with all its data, and a new one is created";

  it("makes all of them, and looks at them then; bare hosts are there already", () => {
    const plan = planOf(configOf({ ...onEc2, nodes: [...all, w2] }), undefined);
    expect(order(plan).slice(0, 4)).to.deep.equal([
      ...["make cp1 cp2 cp3 w1", "check w2", "check cp1 cp2 cp3 w1"],
      "prepare cp1",
    ]);
    const [make, bare, made, prepare] = plan.steps;
    expect([make!.after, bare!.after, made!.after]).to.deep.equal([[], [], [make]]);
    expect(prepare!.after).to.have.members([make, bare, made]);
    expect(make).to.include({ resource: "cp1-instance", does: "its EC2 machine is created" });
    expect(make).to.not.have.property("disturbs");
  });

  it("is empty for what counts when a machine is made alone", () => {
    const larger = all.map((one) => ({ ...one, host: { ...one.host, instanceType: "m7i.large", rootVolumeGib: 99 } }));
    expect(ofEc2({ nodes: larger }).steps).to.deep.equal([]);
  });

  it("of a changed identity, and of it alone: the machine is terminated, and a new one joins", () => {
    const plan = ofEc2({ nodes: renewed });
    expect(changesOf(plan)).to.include({ cp1: "untouched", cp2: "replaced joined", w1: "untouched" });
    expect(order(plan)).to.deep.equal(["make cp2", "check cp2", "prepare cp2", "join cp2", "finalize", "test"]);
    expect(plan.steps[0]).to.deep.include({
      resource: "cp2-instance",
      does: `its EC2 machine ${ends}`,
      disturbs: "its pods, which are not drained",
    });
  });

  it("of one that leaves: its machine is terminated last", () => {
    const plan = ofEc2({ nodes: all.slice(0, 3) });
    expect(order(plan)).to.deep.equal(["removal w1", "finalize cp1 cp2 cp3", "test", "clean w1"]);
    expect(plan.steps[3]).to.include({ resource: "w1-instance", does: "its EC2 machine is terminated" });
  });

  it("is refused where a name goes from one kind to the other", () => {
    const bare = all.map((one) => (one.name === "w1" ? { ...w2, name: "w1" } : one));
    const problems = (after: Node[], former: Node[]) =>
      memberProblems(configOf({ ...onEc2, nodes: after }), afterRunOf(configOf({ ...onEc2, nodes: former })));
    expect(problems(bare, all)).to.deep.equal([
      'nodes[3].host.kind: "ssh" cannot replace ec2, the current kind of w1. ' +
        "Remove the node in one run, and add it with its new host in the next.",
    ]);
    expect(problems(all, bare)[0]).to.match(
      /^nodes\[3\]\.host\.kind: "ec2" cannot replace ssh, the current kind of w1\./,
    );
    const lost = all.map((one) => ({ ...one, host: { ...one.host, identity: "2" } }));
    expect(problems(lost, all)[0]).to.match(/^nodes: this run would replace every control plane \(cp1, cp2, cp3\)/);
  });
});

describe("changes that no run can make", () => {
  const problems = (changes: Record<string, unknown>, before: Record<string, unknown> = {}) =>
    memberProblems(configOf(changes), afterRunOf(configOf(before)));

  it("are none in a cluster that is new, or stays as it is", () => {
    expect(memberProblems(configOf(), undefined)).to.deep.equal([]);
    expect(problems({})).to.deep.equal([]);
  });

  it("are those of what the cluster was made with", () => {
    for (const [key, value] of [
      ["clusterName", "other"],
      ["endpoint.address", "10.201.0.1"],
      ["endpoint.port", "8443"],
      ["network.podCidr", "10.52.0.0/16"],
      ["network.serviceCidr", "10.112.0.0/12"],
      ["network.podRouting", "vxlan"],
      ["tailnet.loginServer", "https://headscale.example.com"],
      ["tailnet.tag", "tag:other"],
    ] as const) {
      const [name, inner] = key.split(".") as [string, string?];
      const changes = { [name]: inner === undefined ? value : { [inner]: value } };
      expect(problems(changes), key).to.have.lengthOf(1);
      expect(problems(changes)[0]).to.match(
        new RegExp(`^${key}: ".*" cannot change in a running cluster\\. Allowed: .*\\. Set that again`),
      );
    }
  });

  it("are those of endpoint.kind in a lan, also after a run of a program that knew one kind", () => {
    const lan = { nodeNetwork: "lan", lan: { cidr: "192.0.2.0/24" }, tailnetAuthKey: undefined };
    const external = { ...lan, endpoint: { address: "192.0.2.10" } };
    const vip = { ...lan, endpoint: { address: "192.0.2.10", kind: "vip" } };
    for (const same of [external, vip]) expect(problems(same, same)).to.deep.equal([]);
    const line = (now: string, was: string) =>
      `endpoint.kind: "${now}" cannot change in a running cluster. Allowed: ${was}. Set that again, or recreate the cluster: ` +
      "pulumi destroy, then pulumi up.";
    expect(problems(vip, external)).to.deep.equal([line("vip", "external")]);
    expect(problems(external, vip)).to.deep.equal([line("external", "vip")]);
    // Without the option nothing of it is kept.
    expect(outputsOf(configOf(external)).applied)
      .to.have.property("settings")
      .that.does.not.have.property("endpoint.kind");
  });

  it("are those of where EC2 machines are, which AWS would replace, and of none without such machines", () => {
    const operatorCidrs = ["198.51.100.7/32"];
    const at = (ec2: object) => ({
      nodes: [{ name: "cp1", role: "control-plane", host: { kind: "ec2" } }],
      ec2: { operatorCidrs, ...ec2 },
      sshPrivateKey: keyPair("ed25519").privateKey,
    });
    const before = at({ region: "eu-central-1", vpcCidr: "10.60.0.0/16" });
    expect(problems(before, before)).to.deep.equal([]);
    for (const [key, changed] of [
      ["ec2.region", { region: "eu-west-1", vpcCidr: "10.60.0.0/16" }],
      ["ec2.vpcCidr", { region: "eu-central-1", vpcCidr: "10.61.0.0/16" }],
    ] as const) {
      expect(problems(at(changed), before), key).to.have.lengthOf(1);
      expect(problems(at(changed), before)[0]).to.match(
        new RegExp(`^${key}: ".*" cannot change in a running cluster\\. Allowed: .*\\. Set that again`),
      );
    }
    const given = { region: "eu-central-1", vpcId: "vpc-0123456789abcdef0", subnetIds: ["subnet-0123456789abcdef0"] };
    expect(problems(at({ ...given, vpcId: "vpc-0fedcba9876543210" }), at(given))[0]).to.match(/^ec2\.vpcId: /);
    const without = (region: string) => ({ ec2: { operatorCidrs, region } });
    expect(problems(without("eu-west-1"), without("eu-central-1"))).to.deep.equal([]);
  });

  it("are those of what an older program has left, which has other names for keys", () => {
    const old = Object.fromEntries(Object.entries(renamedKeys).map(([was, now]) => [now, was]));
    const byOldKeys = (record: object) =>
      Object.fromEntries(Object.entries(record).map(([key, value]) => [old[key] ?? key, value as unknown]));
    const outputs = outputsOf(configOf({ kubernetes: { containerdVersion: "2.2.1" } }));
    const { settings, software, ...others } = outputs.applied as Record<"settings" | "software", object>;
    expect(byOldKeys(settings)).to.include.keys("podCidr", "tailnetTag");
    const applied = { ...others, settings: byOldKeys(settings), software: byOldKeys(software) };
    const last = lastRun({ ...outputs, applied })!;
    const same = configOf({ kubernetes: { containerdVersion: "2.2.1" } });
    expect(memberProblems(same, last)).to.deep.equal([]);
    expect(planOf(same, last).steps).to.deep.equal([]);
    expect(memberProblems(configOf({ network: { podCidr: "10.52.0.0/16" } }), last)[0]).to.match(
      /^network\.podCidr: ".*" cannot change in a running cluster\. Allowed: 10\.50\.0\.0\/16\./,
    );
  });

  it("are those of a node's role", () => {
    const swapped = nodes.map((one) => (one.name === "cp3" ? { ...one, role: "worker" } : one));
    expect(problems({ nodes: swapped })).to.deep.equal([
      'nodes[2].role: "worker" cannot replace control-plane, the current role of cp3. ' +
        "Remove the node in one run, and add it with its new role in the next.",
    ]);
  });

  it("are those that leave nobody to join", () => {
    const lost = nodes.map((one) => ({ ...one, host: { ...one.host, identity: "2" } }));
    expect(problems({ nodes: lost })[0]).to.match(
      /^nodes: this run would replace every control plane \(cp1, cp2, cp3\)/,
    );
    expect(problems({ nodes: lost, kubernetes: { restoreSnapshot: "/root/one.db" } })).to.deep.equal([]);
  });

  it("are another machine during an upgrade, and a join while the only control plane restarts", () => {
    expect(problems({ nodes: change("w1", { identity: "2" }) }, { kubernetes: { version: "1.36.1" } })[0]).to.match(
      /^nodes\[3\]\.name: "w1" cannot be replaced while the cluster is upgraded from Kubernetes 1\.36\.1/,
    );
    const small = [nodes[0], nodes[3]];
    const grown = [...small, { name: "w2", role: "worker", host: { address: "192.0.2.22" } }];
    expect(problems({ nodes: grown, tailnet: { tailscaleVersion: "1.102.5" } }, { nodes: small })[0]).to.match(
      /^nodes\[2\]\.name: "w2" cannot join while cp1, the only control plane, restarts because of a changed tailnet\.tailscaleVersion\./,
    );
    expect(problems({ nodes: grown }, { nodes: small })).to.deep.equal([]);
  });
});

/** Everything that has ended before a step begins. */
function ancestors(step: Step, seen = new Set<Step>()): Set<Step> {
  for (const other of step.after) {
    if (!seen.has(other)) {
      seen.add(other);
      ancestors(other, seen);
    }
  }
  return seen;
}

describe("any valid change of any valid cluster", () => {
  const roles = fc.constantFrom("control-plane", "worker");
  const drawn = fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h"),
    role: roles,
    identity: fc.constantFrom("", "", "", "2"),
    labels: fc.constantFrom<Record<string, string>>({}, {}, { disk: "ssd" }),
  });
  const list = fc.uniqueArray(drawn, { minLength: 1, maxLength: 7, selector: ({ name }) => name });
  const versions = fc.record({
    kubernetes: fc.record({
      version: fc.constantFrom("1.36.3", "1.36.3", "1.36.4"),
      certificateRenewal: fc.constantFrom("", "", "now"),
      drainSeconds: fc.constantFrom(300, 0),
      maxUnavailableWorkers: fc.constantFrom(1, 1, 2, 3),
    }),
    tailnet: fc.record({ tailscaleVersion: fc.constantFrom("", "", "1.102.5") }),
  });
  type Drawn = { name: string; role: string; identity: string; labels: Record<string, string> };
  const configWith = (all: readonly Drawn[], rest: Record<string, unknown>): ClusterConfig =>
    configOf({
      ...rest,
      nodes: all.map(({ name, role, identity, labels }) => ({
        name,
        role,
        labels,
        host: { address: `192.0.2.${name.charCodeAt(0)}`, ...(identity && { identity }) },
      })),
    });
  const hasPlane = (all: readonly Drawn[]) => all.some(({ role }) => role === "control-plane");

  /** Calls back with each change that the checks let pass; a node that stays mostly keeps its role. */
  const forAll = (
    check: (plan: Plan, config: ClusterConfig, last: ReturnType<typeof afterRunOf> | undefined) => void,
  ) => {
    let passed = 0;
    fc.assert(
      fc.property(fc.option(list), list, versions, versions, fc.boolean(), (before, after, old, wanted, keepsRoles) => {
        fc.pre(hasPlane(after) && (before === null || hasPlane(before)));
        const roleOf = new Map(before?.map(({ name, role }) => [name, role]));
        const kept = after.map((one) => (keepsRoles ? { ...one, role: roleOf.get(one.name) ?? one.role } : one));
        fc.pre(hasPlane(kept));
        const config = configWith(kept, wanted);
        const last = before === null ? undefined : afterRunOf(configWith(before, old));
        const asked = {
          kubernetes: config.kubernetesVersion,
          cilium: config.cilium.version,
          nodes: config.nodes.map(({ name }) => name),
        };
        fc.pre(memberProblems(config, last).length + upgradeProblems(last, asked).length === 0);
        passed++;
        check(planOf(config, last), config, last);
      }),
      { numRuns: 300 },
    );
    expect(passed).to.be.at.least(300);
  };
  const apart = (a: Step, b: Step) => !ancestors(a).has(b) && !ancestors(b).has(a);

  it("has an order: each step comes behind those that it waits for", () => {
    forAll(({ steps }) => {
      steps.forEach((step, i) => {
        expect(step.after.every((other) => steps.indexOf(other) >= 0 && steps.indexOf(other) < i)).to.equal(true);
      });
    });
  });

  it("lets every node join where the endpoint is reachable", () => {
    forAll(({ steps }, { nodes: wanted }, last) => {
      for (const join of steps.filter(({ kind }) => kind === "join")) {
        const earlier = ancestors(join);
        const joined = [...earlier]
          .filter(({ kind, resource }) => ["init", "join"].includes(kind) && resource.endsWith("-control-plane"))
          .flatMap((step) => step.nodes);
        const up = new Set([...survivors(wanted, last), ...joined]);
        // Not before it, nor at the same time.
        for (const leave of steps.filter(({ kind }) => kind === "removal")) {
          expect(ancestors(leave).has(join)).to.equal(true);
        }
        // One control plane at a time, as is shown below; workers hold no endpoint.
        const isOneDown = steps.some(
          (step) => ["upgrade", "restart"].includes(step.kind) && up.has(step.nodes[0]!) && apart(step, join),
        );
        expect(up.size - Number(isOneDown), join.nodes.join()).to.be.at.least(1);
      }
    });
  });

  it("has one control plane join at a time, and one alone found a cluster", () => {
    forAll(({ steps, isNew }) => {
      const joins = steps.filter(({ resource }) => resource.endsWith("-control-plane"));
      joins.forEach((a, i) => joins.slice(i + 1).forEach((b) => expect(apart(a, b)).to.equal(false)));
      const founds = steps.filter(({ kind }) => kind === "init");
      expect(founds).to.have.lengthOf(isNew ? 1 : 0);
      for (const found of founds) {
        for (const join of steps.filter(({ kind }) => kind === "join")) {
          expect(ancestors(join).has(found)).to.equal(true);
        }
      }
    });
  });

  it("drains and restarts no node while another one is, but for as many workers as the config allows", () => {
    forAll(({ steps }, config) => {
      const isWorker = (step: Step) =>
        step.kind === "upgrade" && config.nodes.find(({ name }) => name === step.nodes[0])!.role === "worker";
      const disturbing = steps.filter(({ kind }) => ["upgrade", "restart", "removal"].includes(kind));
      disturbing.forEach((a, i) =>
        disturbing.slice(i + 1).forEach((b) => {
          if (!isWorker(a) || !isWorker(b)) expect(apart(a, b)).to.equal(false);
        }),
      );
      // Declared workers wait in as many chains as may be down at once, and a chain has one at a time.
      const declared = config.nodes.filter(({ role }) => role === "worker").map(({ name }) => name);
      const place = (step: Step) => declared.indexOf(step.nodes[0]!);
      const upgraded = disturbing.filter(isWorker);
      upgraded.forEach((step, i) =>
        upgraded.slice(i + 1).forEach((later) => {
          const areInOneChain = (place(later) - place(step)) % config.maxUnavailableWorkers === 0;
          expect(apart(step, later)).to.equal(!areInOneChain);
        }),
      );
    });
  });

  it("looks at all hosts before it sets up one, and cleans those that leave at the very end", () => {
    forAll(({ steps }, _config, last) => {
      const check = steps.find(({ kind }) => kind === "check");
      for (const step of steps) {
        if (step.kind === "prepare") {
          expect(ancestors(step).has(check!)).to.equal(true);
        }
        if (step.kind === "clean" && step.after.length > 0) {
          expect(ancestors(step).size).to.be.at.least(steps.filter(({ kind }) => kind === "removal").length);
          expect(last!.members.some(({ name }) => name === step.nodes[0])).to.equal(true);
        }
      }
    });
  });

  it("tells of every node what becomes of it, and of nobody twice", () => {
    forAll(({ nodes: told, steps }, config, last) => {
      const names = [...config.nodes.map(({ name }) => name), ...(last?.nodes ?? [])];
      expect(told.map(({ name }) => name)).to.have.members([...new Set(names)]);
      for (const { name, changes } of told) {
        const isNamed = steps.some((step) => step.kind !== "dead-members" && step.nodes.includes(name));
        expect(changes.includes("untouched"), name).to.equal(!isNamed);
      }
    });
  });

  it("is no change at all if nothing was changed", () => {
    fc.assert(
      fc.property(list, versions, (all, rest) => {
        fc.pre(hasPlane(all));
        const config = configWith(all, rest);
        expect(planOf(config, afterRunOf(config)).steps).to.deep.equal([]);
        expect(memberProblems(config, afterRunOf(config))).to.deep.equal([]);
      }),
      { numRuns: 100 },
    );
  });
});
