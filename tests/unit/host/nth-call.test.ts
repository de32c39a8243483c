import { rmSync } from "node:fs";
import { expect } from "chai";
import { shellQuote } from "../../../components/hosts/script-text";
import { renderStdin, type Stage } from "../../../components/hosts/stages";
import { FakeCluster } from "./fake-cluster";
import {
  type Call,
  endOf,
  FakeServer,
  type Fault,
  freshRoot,
  type Mode,
  resetRoot,
  type Run,
  saidOf,
  stateOf,
  whyNot,
} from "./nth-call";
import { endsWell, matches, messageOf, names, partsFrom, saysOther, subjectsOf, unanswered } from "./nth-call.oracle";
import { mark, type Scenario, scenarios, undoOf, variables } from "./nth-call.scenarios";

/** All calls in all modes with TAILKUBE_ALL_CALLS=1; else so many faults of each scenario, spread by the seed. */
const all = process.env.TAILKUBE_ALL_CALLS === "1";
const sampled = Number(process.env.TAILKUBE_FAULTS ?? 3);
const seed = Number(process.env.TAILKUBE_SEED ?? 1);
const modes: readonly Mode[] = ["once", "always", "lost"];

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function numbers(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Every call of the good run in each mode; a sample of them has each call's text before any of them twice. */
function faultsOf(calls: readonly Call[], title: string): Fault[] {
  const stages = calls.filter(({ text }) => text !== "destroy");
  const faults = stages.flatMap(({ text, occurrence, about }) =>
    modes.map((mode) => ({ text, occurrence, about, mode })),
  );
  if (all || faults.length <= sampled) return faults;
  const random = numbers(seed + title.length);
  const shuffled = faults.map((fault) => ({ fault, at: random() })).sort((a, b) => a.at - b.at);
  const times = new Map<string, number>();
  const ranked = shuffled.map(({ fault, at }) => {
    const rank = times.get(fault.text) ?? 0;
    times.set(fault.text, rank + 1);
    return { fault, rank, at };
  });
  return ranked
    .sort((a, b) => a.rank - b.rank || a.at - b.at)
    .slice(0, sampled)
    .map(({ fault }) => fault);
}

/** Where two texts part, or that one is missing. */
function parting(left: string | undefined, right: string | undefined): string {
  if (left === undefined || right === undefined) return left === undefined ? "missing" : "there, and should not be";
  const at = [...left].findIndex((letter, i) => letter !== right[i]);
  const from = Math.max(0, (at < 0 ? left.length : at) - 60);
  return JSON.stringify(`${left.slice(from, from + 160)} instead of ${right.slice(from, from + 160)}`);
}

function differences(scenario: Scenario, good: Run, run: Run): string[] {
  return [...new Set([...Object.keys(good.end), ...Object.keys(run.end)])]
    .filter((key) => good.end[key] !== run.end[key] && !matches(scenario.mayDiffer, key))
    .map((key) => `${key} is ${parting(run.end[key], good.end[key])}`);
}

/** What is wrong with a run that had a fault, beside one that had none. */
function wrongs(scenario: Scenario, good: Run, run: Run, fault: Fault): string[] {
  const found = [partsFrom(scenario, good.calls, run, fault), unanswered(scenario, run, fault)].filter(
    (what) => what !== undefined,
  );
  if (endsWell(scenario, run)) {
    const differing = differences(scenario, good, run);
    const other = saysOther(good, run, fault);
    if (other !== undefined) found.push(other);
    if (differing.length > 0) found.push(`ends well, but not as without the fault: ${differing.join("; ")}`);
    return found;
  }
  // Of a run that the harness has ended.
  if (run.status === undefined || run.status === 137) found.push("is not bounded in time");
  const message = messageOf(scenario, run, saidOf(fault));
  if (message === undefined || /failed unexpectedly/.test(message))
    found.push(`fails without a line that says what could not be done: ${JSON.stringify(run.stderr)}`);
  else if (!names(message, `${fault.text} ${fault.about}`))
    found.push(
      `fails without a word of ${subjectsOf(`${fault.text} ${fault.about}`).join(", ")}: ${JSON.stringify(message)}`,
    );
  return found;
}

describe("The Nth call of a stage fails", function () {
  this.timeout(all ? 10_800_000 : 60_000 + sampled * 60_000);
  const server = new FakeServer();
  const roots: string[] = [];
  const cannot = whyNot();

  before(async function () {
    if (cannot !== undefined) {
      console.log(`      not run, for a stage needs a root folder of its own: ${cannot}`);
      this.skip();
    }
    console.log(
      `      ${all ? "all calls" : `${sampled} faults of each, seed ${seed} (TAILKUBE_SEED; all of them with TAILKUBE_ALL_CALLS=1)`}`,
    );
    await server.start();
    roots.push(freshRoot(), freshRoot());
  });
  after(() => {
    server.stop();
    for (const root of roots) rmSync(root, { recursive: true, force: true });
    if (all) for (const line of tried) console.log(`      ${line}`);
  });

  const textOf = (scenario: Scenario) =>
    scenario.operator !== undefined ? operatorText(scenario.operator) : stageText(scenario);

  /** As the engine runs it, and goes on. */
  const operatorText = ({ script, shell, environment, stdin, then = "" }: NonNullable<Scenario["operator"]>) =>
    [
      "export PATH=/usr/local/sbin:$PATH",
      ...Object.entries(environment).map(([name, value]) => `export ${name}=${shellQuote(value)}`),
      `${[...shell, shellQuote(script)].join(" ")} <<<${shellQuote(stdin)}${then}`,
      "",
    ].join("\n");

  const stageText = (scenario: Scenario) =>
    renderStdin({
      node: scenario.node.name,
      stage: scenario.stage as Stage,
      variables: {
        ...variables,
        TK_ROLE: scenario.node.role,
        TK_NODE_IP: scenario.node.ip,
        TK_MARK: mark(scenario.node.name),
        ...scenario.variables,
      },
      timeoutSeconds: 1200,
    });

  /** A host and its cluster, in that root folder. */
  function madeIn(root: string, scenario: Scenario): FakeCluster {
    resetRoot(root);
    const cluster = new FakeCluster(root, scenario.node);
    scenario.before(cluster);
    cluster.host.booted();
    return cluster;
  }

  /** Runs a stage and returns its run with the cluster that it has left. */
  async function runs(scenario: Scenario, root: string, fault?: Fault): Promise<{ run: Run; cluster: FakeCluster }> {
    const cluster = madeIn(root, scenario);
    return { run: await server.stage(cluster, textOf(scenario), scenario.verb, fault), cluster };
  }

  /** What `judge` makes of a host and its cluster, which it may change; it is asked once for each that differs from all others. */
  function once(judge: (cluster: FakeCluster) => Promise<string[]>): (cluster: FakeCluster) => Promise<string[]> {
    const known = new Map<string, Promise<string[]>>();
    return (cluster) => {
      const state = stateOf(cluster);
      const judged = known.get(state) ?? judge(cluster);
      known.set(state, judged);
      return judged;
    };
  }

  /** What differs from the host as it was before `scenario`, after an undo without a fault. */
  async function undone(scenario: Scenario, before: Record<string, string>, cluster: FakeCluster): Promise<string[]> {
    const undo = await server.stage(cluster, textOf(undoOf(scenario)), "remove", undefined, { confirm: true });
    if (undo.status !== 0) return [`the undo fails: ${JSON.stringify(undo.stderr)}`];
    const left = differences({ ...scenario, mayDiffer: scenario.undoLeaves! }, { ...undo, end: before }, undo);
    return left.map((what) => `an undo does not make up for it: ${what}`);
  }

  interface Found {
    call: number;
    text: string;
    mode: Mode;
    what: string;
  }

  /** The faults of one call, one after another. */
  function byCall(faults: readonly Fault[]): Fault[][] {
    const groups = new Map<string, Fault[]>();
    for (const fault of faults) {
      const key = `${fault.occurrence} ${fault.text}`;
      groups.set(key, [...(groups.get(key) ?? []), fault]);
    }
    return [...groups.values()];
  }

  interface Judged {
    run: Run;
    wrong: string[];
  }

  /** Tries each fault, in one root folder or the other. Throws if any is not borne. */
  async function tryAll(
    calls: readonly Call[],
    title: string,
    judgedBy: (fault: Fault, root: string) => Promise<Judged>,
  ) {
    const faults = faultsOf(calls, title);
    const groups = byCall(faults);
    const found: Found[] = [];
    let next = 0;
    const work = async (root: string) => {
      for (let group = groups[next++]; group !== undefined; group = groups[next++]) {
        let once: Judged | undefined;
        for (const fault of group) {
          const { text, occurrence, mode } = fault;
          const again = once?.run.calls.some((call) => call.text === text && call.occurrence > occurrence);
          // Where the call is not made again, `always` is as good as `once`.
          const judged = mode === "always" && again === false ? once! : await judgedBy(fault, root);
          if (mode === "once") once = judged;
          const call = calls.findIndex((c) => c.text === text && c.occurrence === occurrence) + 1;
          for (const what of judged.wrong) {
            found.push({ call, text, mode, what });
            if (all) console.log(`      call ${call}, ${mode}: ${text}: ${what}`);
          }
        }
      }
    };
    // A harness that fails ends the test only when no run is left in a root that the next test uses.
    const ended = await Promise.allSettled(roots.map(work));
    for (const one of ended) if (one.status === "rejected") throw one.reason;
    found.sort((a, b) => a.call - b.call);
    tried.push(`${title}: ${calls.length} calls, ${faults.length} faults`);
    if (found.length > 0) {
      const lines = found.map(
        ({ call, text, mode, what }) => `call ${call} of ${calls.length}, ${mode}: ${text}\n          ${what}`,
      );
      throw new Error(`${found.length} faults are not borne:\n      ${lines.join("\n      ")}`);
    }
  }
  const tried: string[] = [];

  /** Of a run that has to end well. */
  const callsOf = ({ status, stderr, calls }: Run) => {
    expect({ status, stderr }, JSON.stringify(calls.slice(-3))).to.deep.equal({ status: 0, stderr: "" });
    return calls;
  };

  it("ends a run that would wait without a bound", async () => {
    const cluster = madeIn(roots[0]!, scenarios[0]!);
    const run = await server.stage(cluster, "while :; do sleep 1; done\n", "apply");
    expect(run.status).to.equal(undefined);
  });

  for (const scenario of scenarios) {
    it(`${scenario.stage}: ${scenario.title}`, async () => {
      const good = (await runs(scenario, roots[0]!)).run;
      const later = { ...scenario, mayDiffer: [...(scenario.mayDiffer ?? []), ...(scenario.nextMayDiffer ?? [])] };
      const nextOf = once(async (cluster) => {
        const next = await server.stage(cluster, textOf(scenario), scenario.verb);
        const left = next.status === 0 ? differences(later, good, next) : [JSON.stringify(next.stderr)];
        return left.map((what) => `the next run does not make up for it: ${what}`);
      });
      await tryAll(callsOf(good), `${scenario.stage}: ${scenario.title}`, async (fault, root) => {
        const { run, cluster } = await runs(scenario, root, fault);
        const wrong = wrongs(scenario, good, run, fault);
        return { run, wrong: run.status === 0 ? wrong : [...wrong, ...(await nextOf(cluster))] };
      });
    });

    if (scenario.undoLeaves === undefined) continue;
    it(`${scenario.stage}: ${scenario.title}; then its undo`, async () => {
      const fresh = madeIn(roots[0]!, scenario);
      // The records of earlier stages go with the undo.
      const before = Object.fromEntries(
        Object.entries(endOf(fresh)).filter(([key]) => !/^\/var\/lib\/tailkube/.test(key)),
      );
      const undoneOf = once((cluster) => undone(scenario, before, cluster));
      const judge = async (root: string, fault?: Fault) => {
        const cluster = madeIn(root, scenario);
        const run = await server.stage(cluster, textOf(scenario), scenario.verb, fault, { confirm: true });
        return { run, wrong: await undoneOf(cluster) };
      };
      const good = await judge(roots[0]!);
      expect(good.wrong).to.deep.equal([]);
      await tryAll(callsOf(good.run), `${scenario.stage}: ${scenario.title}; then its undo`, (fault, root) =>
        judge(root, fault),
      );
    });
  }
});
