import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import fc from "fast-check";
import { planFileVariable } from "../../preview/plan-file";
import type { Step } from "../../preview/plan";
import { planOf } from "../../preview/steps";
import { configOf, minimal } from "../unit/config/fixtures";
import { keyPair, onEc2 } from "../unit/components/hosts/ec2/fixtures";
import { lastRun } from "../../preview/last-run";
import { outputsOf } from "../unit/fixtures";
import { before, type Run, type RunArgs, runProgram } from "./program";

type Node = { name: string; role: string; host: Record<string, unknown> };
const nodes = minimal.nodes as Node[];
const w2 = { name: "w2", role: "worker", host: { address: "192.0.2.22" } };

/** Runs the program; returns what it logged as information, too. */
async function logged(args: RunArgs): Promise<Run & { told: string[] }> {
  const told: string[] = [];
  const { info } = pulumi.log;
  const log = pulumi.log as { info: typeof info };
  log.info = (message) => {
    told.push(message);
    return Promise.resolve();
  };
  try {
    return { ...(await runProgram(args)), told };
  } finally {
    log.info = info;
  }
}

describe("a preview tells the plan", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "tailkube-plan-"));
    file = join(folder, "plan.md");
    process.env[planFileVariable] = file;
  });
  afterEach(() => {
    delete process.env[planFileVariable];
    rmSync(folder, { recursive: true });
  });

  it("of a new cluster of 3 + 1, with no host reachable at all", async () => {
    const { errors, told } = await logged({ preview: true });
    expect(errors).to.deep.equal([]);
    expect(told).to.deep.equal([
      [
        "What this run will do to the nodes (1 created, 3 joined):",
        "  1. cp1, cp2, cp3, w1: check host keys and requirements; no host is changed until all pass",
        "  2. cp1, cp2, cp3, w1: joins the tailnet; gets containerd and kubelet",
        "  3. cp1: initializes the cluster, with the endpoint 10.200.0.1:6443",
        "  4. cp2: joins as a control plane through 10.200.0.1:6443, then also holds the endpoint",
        "     w1: joins as a worker through 10.200.0.1:6443",
        "     Cilium 1.20.2 is installed",
        "  5. cp3: joins as a control plane through 10.200.0.1:6443, then also holds the endpoint",
        "  6. wait until Cilium, the nodes and CoreDNS are ready",
        "  7. the cluster is checked",
        "  Lines under one number run in parallel.",
      ].join("\n"),
    ]);
    expect(readFileSync(file, "utf8")).to.match(/^### Plan for the cluster `tailkube`\n/);
  });

  it("of a change, by what the last run has left", async () => {
    const last = outputsOf(configOf());
    const { errors, told } = await logged({ preview: true, last, config: { nodes: [...nodes.slice(0, 3), w2] } });
    expect(errors).to.deep.equal([]);
    expect(told[0]!.split("\n")).to.deep.equal([
      "What this run will do to the nodes, compared with the last complete run (1 joined, 1 drained, 1 removed, 3 untouched):",
      "  1. w2: check host keys and requirements; no host is changed until all pass",
      "  2. w2: joins the tailnet; gets containerd and kubelet",
      "  3. w2: joins as a worker through 10.200.0.1:6443",
      "  4. w1: is drained if it is Ready, then removed from the cluster [disturbs its pods, which are evicted]",
      "  5. wait until Cilium, the nodes and CoreDNS are ready",
      "  6. the cluster is checked",
      "  7. w1: its host is cleaned, if it answers",
      "  Untouched: cp1, cp2 and cp3.",
      "  Lines under one number run in parallel.",
    ]);
  });

  it("of no change: that there is none", async () => {
    const { told } = await logged({ preview: true, last: outputsOf(configOf()) });
    expect(told).to.have.lengthOf(1);
    expect(told[0]).to.match(/\(4 untouched\):\n {2}Nothing: all nodes are as declared\.$/);
  });

  it("but an update does not", async () => {
    const { told } = await logged({});
    expect(told).to.deep.equal([]);
    expect(existsSync(file)).to.equal(false);
  });

  it("and of what is refused, why, in the file as well", async () => {
    await logged({ preview: true, config: { network: { podCidr: "x" } } });
    expect(readFileSync(file, "utf8")).to.match(/^### No plan: .*\n\n- network\.podCidr: "x" is invalid\./);
    const { errors } = await logged({
      preview: true,
      last: outputsOf(configOf()),
      config: { network: { podRouting: "vxlan" } },
    });
    expect(errors[0]?.message).to.include(
      'network.podRouting: "vxlan" cannot change in a running cluster. Allowed: native.',
    );
    expect(readFileSync(file, "utf8")).to.match(/^### No plan: .*\n\n- network\.podRouting: /);
  });

  it("and goes on where the file cannot be written", async () => {
    process.env[planFileVariable] = join(folder, "no", "plan.md");
    expect((await logged({ preview: true })).errors).to.deep.equal([]);
  });
});

describe("hosts that are reached in another way", () => {
  /** The nodes, with those at other addresses at which other machines answer. */
  const moved = (...names: string[]) =>
    nodes.map((node, i) =>
      names.includes(node.name) ? { ...node, host: { ...node.host, address: `192.0.2.${41 + i}` } } : node,
    );
  const names = ({ resources }: Run) => resources.map(({ name }) => name);

  it("are not touched where the machines that answer there would cost etcd its majority", async () => {
    const run = await runProgram({ last: outputsOf(configOf()), config: { nodes: moved("cp1", "cp2") } });
    expect(run.errors.map(({ message }) => message).join()).to.include(
      "this run would replace cp1 and cp2, but etcd always needs 2 of its 3 members (cp1, cp2 and cp3)",
    );
    expect(names(run)).to.include.members(["cp1-host-key", "cp2-host-key"]);
    expect(names(run).filter((name) => /-(cleanup|tailnet|runtime|control-plane)$/.test(name))).to.deep.equal([]);
  });

  it("are replaced where it keeps its majority", async () => {
    const run = await runProgram({ last: outputsOf(configOf()), config: { nodes: moved("cp2", "w1") } });
    expect(run.errors).to.deep.equal([]);
    expect(names(run)).to.include.members(["cp2-cleanup", "w1-cleanup", "cp2-control-plane"]);
  });
});

describe("the last run leaves to the next", () => {
  it("what it was, where the engine was told to leave scripts out, and says so", async () => {
    const last = outputsOf(configOf({ kubernetes: { version: "1.37.1" } })) as unknown as Record<string, unknown>;
    const { versions, nodes: former, applied } = last;
    for (const name of ["cluster-finalize", "w1-join", "cp2-upgrade", "w1-tailnet", "cilium-release"]) {
      const warned: string[] = [];
      const { warn } = pulumi.log;
      const log = pulumi.log as { warn: typeof warn };
      log.warn = (message) => Promise.resolve(void warned.push(message));
      const { outputs } = await runProgram({ last, leftOut: [name] }).finally(() => (log.warn = warn));
      expect(outputs, name).to.deep.include({ versions, nodes: former, applied });
      expect(warned.join(), name).to.contain("skipped some of the cluster's steps");
    }
    const whole = await runProgram({ last });
    expect(whole.outputs.versions).to.deep.equal({ kubernetes: "1.37.2", cilium: "1.20.2" });
  });

  it("in the cluster's own memory, and nothing where a run fails", async () => {
    const memory = ({ resources }: Run) => resources.find(({ type }) => type === "tailkube:cluster:LastRun")!;
    const whole = await runProgram();
    const { versions, nodes: named, applied } = JSON.parse(JSON.stringify(whole.outputs)) as Record<string, unknown>;
    expect(memory(whole).outputs).to.deep.equal({ versions, nodes: named, applied });
    expect(memory(whole).secretOutputs).to.deep.equal([]);
    const failed = await runProgram({
      facts: { cp2: { interfaces: [{ name: "eth1", addresses: ["10.50.1.1/24"], mtu: 1500 }] } },
    });
    expect(failed.errors.length).to.be.above(0);
    expect(memory(failed).outputs).to.deep.equal({});
  });

  it("by the stack's outputs, if that is all there is of a stack of before", async () => {
    const former = outputsOf(configOf({ kubernetes: { version: "1.35.2" } })) as unknown as Record<string, unknown>;
    const refused = await runProgram({ stackOutputs: former });
    expect(refused.errors.map(({ message }) => message).join()).to.contain("cannot upgrade from 1.35.2");
    const present = outputsOf(configOf()) as unknown as Record<string, unknown>;
    expect((await runProgram({ stackOutputs: former, last: present })).errors).to.deep.equal([]);
  });

  it("what makes the plan of the same config empty", async () => {
    const { outputs } = await runProgram();
    const { versions, nodes: named, applied } = JSON.parse(JSON.stringify(outputs)) as Record<string, unknown>;
    const last = lastRun({ versions, nodes: named, applied })!;
    expect(planOf(configOf(), last).steps).to.deep.equal([]);
    expect(last.members[0]).to.include({ os: "Debian GNU/Linux 12 (bookworm)", cgroup: 2, reached: "192.0.2.11:22" });
    expect(JSON.stringify(applied).length).to.be.below(2000);
  });

  it("warnings of hosts that may not run what is wanted", async () => {
    const { warn } = pulumi.log;
    const told: string[] = [];
    (pulumi.log as { warn: typeof warn }).warn = (message) => (told.push(message), Promise.resolve());
    try {
      const last = outputsOf(configOf({ kubernetes: { version: "1.35.1" } }));
      (last.applied as { nodes: { cgroup: number }[] }).nodes[3]!.cgroup = 1;
      await runProgram({
        preview: true,
        last,
        config: { kubernetes: { version: "1.35.4" }, cilium: { version: "1.20.2" } },
      });
    } finally {
      (pulumi.log as { warn: typeof warn }).warn = warn;
    }
    expect(told).to.have.lengthOf(1);
    expect(told[0]).to.match(/^kubernetes\.version: w1 \(Debian .*\), when it was last checked, ran cgroup v1/);
  });
});

/** The steps that a step waits for, and those that these wait for. */
function ancestors(step: Step): Set<Step> {
  return new Set(step.after.flatMap((other) => [other, ...ancestors(other)]));
}

// Both are made by model/order.ts; what the engine waits for beside that, by inputs, must not be more.
describe("the plan's order is the engine's", () => {
  /** Compares every two steps that the engine has resources for. */
  async function compare(config: Record<string, unknown>, former: Record<string, unknown> | undefined): Promise<void> {
    const last = former && outputsOf(configOf(former));
    const { steps } = planOf(configOf(config), last && lastRun(last));
    const run = await runProgram({ config, last });
    expect(run.errors).to.deep.equal([]);
    const registered = new Set(run.resources.filter(({ custom }) => custom).map(({ name }) => name));
    // What is deleted at the end is registered no more.
    const real = steps.filter(({ resource }) => registered.has(resource));
    expect(steps.filter((step) => !real.includes(step)).every(({ kind }) => kind === "clean")).to.equal(true);
    for (const step of real) {
      const earlier = before(run, step.resource);
      const waited = ancestors(step);
      for (const other of real.filter(({ resource }) => resource !== step.resource)) {
        expect(earlier.includes(other.resource), `${other.resource} before ${step.resource}`).to.equal(
          waited.has(other),
        );
      }
    }
  }
  const replaced = (...names: string[]) =>
    nodes.map((one) => (names.includes(one.name) ? { ...one, host: { ...one.host, identity: "2" } } : one));
  const ec2 = onEc2(keyPair().privateKey);
  const ec2Nodes = ec2.nodes as Node[];
  const ec2Worker = { name: "w2", role: "worker", host: { kind: "ec2" } };
  const renewed = ec2Nodes.map((one) => (one.name === "cp1" ? { ...one, host: { kind: "ec2", identity: "2" } } : one));
  const cases: [string, Record<string, unknown>, Record<string, unknown> | undefined][] = [
    ["in a new cluster", {}, undefined],
    ["in one of a single node", { nodes: nodes.slice(0, 1) }, undefined],
    ["when nodes come and go", { nodes: [nodes[1]!, w2, nodes[0]!] }, {}],
    ["when the first control plane is another machine", { nodes: replaced("cp1") }, {}],
    ["when a worker is another machine", { nodes: replaced("w1") }, {}],
    ["when a worker and a control plane are other machines", { nodes: replaced("w1", "cp2") }, {}],
    ["in an upgrade", { kubernetes: { version: "1.37.3" } }, {}],
    [
      "when nodes come while others are upgraded",
      { nodes: [...nodes, w2], tailnet: { tailscaleVersion: "1.102.5" } },
      {},
    ],
    ["when nodes go while others are upgraded", { nodes: nodes.slice(1), kubernetes: { version: "1.37.3" } }, {}],
    ["on EC2, beside a bare host", { ...ec2, nodes: [...ec2Nodes, w2] }, undefined],
    ["when a machine on EC2 is made anew", { ...ec2, nodes: renewed }, ec2],
    ["when machines on EC2 come and go", { ...ec2, nodes: [...ec2Nodes.slice(0, 3), ec2Worker] }, ec2],
    ["when Cilium goes on", { cilium: { version: "1.21.0" } }, {}],
  ];
  for (const [what, config, former] of cases) {
    it(what, () => compare(config, former));
  }

  it("in any new cluster, and in any that grows", async function () {
    this.timeout(300_000);
    const role = fc.constantFrom("control-plane", "worker");
    const drawn = fc.array(role, { minLength: 1, maxLength: 6 }).filter((roles) => roles.includes("control-plane"));
    await fc.assert(
      fc.asyncProperty(drawn, fc.nat(5), async (roles, grown) => {
        const all = roles.map((one, i) => ({ name: `n${i}`, role: one, host: { address: `192.0.2.${i + 1}` } }));
        const former = all.slice(0, Math.max(1, all.length - grown));
        const isThere = former.some((node) => node.role === "control-plane") && former.length < all.length;
        await compare({ nodes: all }, isThere ? { nodes: former } : undefined);
      }),
      { numRuns: 12 },
    );
  });
});
