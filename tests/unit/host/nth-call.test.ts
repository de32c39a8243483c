import { rmSync } from "node:fs";
import { expect } from "chai";
import { renderStdin } from "../../../components/hosts/stages";
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
  whyNot,
} from "./nth-call";
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
  const faults = calls.flatMap(({ text, occurrence }) => modes.map((mode) => ({ text, occurrence, mode })));
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

/** Changes that change nothing where all is as it should be; where it is not, the end differs. */
const harmless: readonly [RegExp, string][] = [
  [/^systemctl (start|enable|daemon-reload)\b/, "a unit that runs, or is enabled, already"],
  [/^ip -[46] rule add pref 0 lookup local protocol kernel$/, "the kernel has no rule twice"],
  [/^dpkg --configure -a /, "what an installation that was cut off has left"],
];

const matches = (rules: readonly [RegExp, string][] | undefined, text: string) =>
  rules?.some(([pattern]) => pattern.test(text)) === true;

/** Ways to one change that a script may take either of. */
const asOne = (text: string) =>
  text
    .replace(/ exec (pod\/)?etcd-\S+ -- /, " exec etcd -- ")
    .replace(/^systemctl disable --quiet --now /, "systemctl stop ")
    .replace(/--server \S+ /, "")
    .replace(/ --timeout=\d+s/, " --timeout=");

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
  const found: string[] = [];
  const issued = new Set(good.calls.filter(({ change }) => change).map(({ text }) => asOne(text)));
  const { otherWay } = scenario;
  const mayIssue = (text: string) =>
    issued.has(asOne(text)) ||
    matches(scenario.putsBack, text) ||
    matches(harmless, text) ||
    (otherWay !== undefined && otherWay.fault.test(fault.text) && otherWay.changes.test(text));
  const more = run.calls.filter(({ text, change }) => change && !mayIssue(text));
  if (more.length > 0) {
    found.push(`issues what is not issued without the fault: ${more.map(({ text }) => text).join("; ")}`);
  }
  if (run.status === 0) {
    const differing = differences(scenario, good, run);
    if (differing.length > 0) found.push(`ends well, but not as without the fault: ${differing.join("; ")}`);
  } else {
    // Of timeout itself, which the harness has to end a run by.
    if (run.status === undefined || run.status === 137) found.push("is not bounded in time");
    // Before it may stand what the command itself has to say.
    const lines = run.stderr.trimEnd().split("\n");
    // A stage uses functions of an earlier one, whose records they write, in its name.
    const named = new RegExp(`^tailkube: ${scenario.node.name}: (${scenario.stage}|runtime|tailnet|lan): .{20,}`);
    if (!named.test(lines[lines.length - 1]!) || lines.filter((line) => line.startsWith("tailkube: ")).length !== 1) {
      found.push(`fails without a line that says what could not be done: ${JSON.stringify(run.stderr)}`);
    }
  }
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
    renderStdin({
      node: scenario.node.name,
      stage: scenario.stage,
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

  /** A run with a fault; and what the next one without it makes of what that has left, if it failed. */
  async function runs(scenario: Scenario, root: string, fault?: Fault): Promise<{ run: Run; next: Run | undefined }> {
    const cluster = madeIn(root, scenario);
    const text = textOf(scenario);
    const run = await server.stage(cluster, text, scenario.verb, fault);
    if (fault === undefined || run.status === 0) return { run, next: undefined };
    return { run, next: await server.stage(cluster, text, scenario.verb) };
  }

  /** What differs from the host as it was, after a run that may have a fault and an undo that has none. */
  async function undone(scenario: Scenario, root: string, fault?: Fault): Promise<{ run: Run; wrong: string[] }> {
    const cluster = madeIn(root, scenario);
    // Records of ours, which earlier stages have made, go with the undo.
    const before = Object.fromEntries(
      Object.entries(endOf(cluster)).filter(([key]) => !/^\/var\/lib\/tailkube/.test(key)),
    );
    const run = await server.stage(cluster, textOf(scenario), scenario.verb, fault, { confirm: true });
    const undo = await server.stage(cluster, textOf(undoOf(scenario)), "remove", undefined, { confirm: true });
    if (undo.status !== 0) return { run, wrong: [`the undo fails: ${JSON.stringify(undo.stderr)}`] };
    const good: Run = { ...run, end: before };
    const left = differences({ ...scenario, mayDiffer: scenario.undoLeaves! }, good, { ...run, end: endOf(cluster) });
    return { run, wrong: left.map((what) => `an undo does not make up for it: ${what}`) };
  }

  interface Found {
    call: number;
    text: string;
    mode: Mode;
    what: string;
  }

  /** Tries each fault, in one root folder or the other. Throws if any is not borne. */
  async function tryAll(
    calls: readonly Call[],
    title: string,
    wrongOf: (fault: Fault, root: string) => Promise<string[]>,
  ) {
    const faults = faultsOf(calls, title);
    const found: Found[] = [];
    let next = 0;
    const work = async (root: string) => {
      for (let fault = faults[next++]; fault !== undefined; fault = faults[next++]) {
        const { text, occurrence, mode } = fault;
        const call = calls.findIndex((c) => c.text === text && c.occurrence === occurrence) + 1;
        for (const what of await wrongOf(fault, root)) {
          found.push({ call, text, mode, what });
          if (all) console.log(`      call ${call}, ${mode}: ${text}: ${what}`);
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

  for (const scenario of scenarios) {
    it(`${scenario.stage}: ${scenario.title}`, async () => {
      const good = (await runs(scenario, roots[0]!)).run;
      const later = { ...scenario, mayDiffer: [...(scenario.mayDiffer ?? []), ...(scenario.nextMayDiffer ?? [])] };
      await tryAll(callsOf(good), `${scenario.stage}: ${scenario.title}`, async (fault, root) => {
        const { run, next } = await runs(scenario, root, fault);
        const wrong = wrongs(scenario, good, run, fault);
        if (next !== undefined) {
          const left = next.status === 0 ? differences(later, good, next) : [JSON.stringify(next.stderr)];
          if (left.length > 0) wrong.push(`the next run does not make up for it: ${left.join("; ")}`);
        }
        return wrong;
      });
    });

    if (scenario.undoLeaves === undefined) continue;
    it(`${scenario.stage}: ${scenario.title}; then its undo`, async () => {
      const good = await undone(scenario, roots[0]!);
      expect(good.wrong).to.deep.equal([]);
      await tryAll(callsOf(good.run), `${scenario.stage}: ${scenario.title}; then its undo`, async (fault, root) => {
        return (await undone(scenario, root, fault)).wrong;
      });
    });
  }
});
