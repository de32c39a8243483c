import { rmSync } from "node:fs";
import { expect } from "chai";
import { renderStdin } from "../../scripts/render";
import { FakeCluster } from "./fake-cluster";
import { type Call, FakeServer, type Fault, freshRoot, type Mode, resetRoot, type Run, whyNot } from "./nth-call";
import { filesOf, mark, type Scenario, scenarios, variables } from "./nth-call.scenarios";

/** All calls in all modes with TAILKUBE_ALL_CALLS=1; else so many faults of each scenario, spread by the seed. */
const all = process.env.TAILKUBE_ALL_CALLS === "1";
const sampled = 24;
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

const matches = (rules: readonly [RegExp, string][] | undefined, text: string) =>
  rules?.some(([pattern]) => pattern.test(text)) === true;

/** What is wrong with a run that had a fault, beside one that had none. */
function wrongs(scenario: Scenario, good: Run, run: Run): string[] {
  const found: string[] = [];
  const issued = new Set(good.calls.filter(({ change }) => change).map(({ text }) => text));
  for (const { text, change } of run.calls) {
    if (change && !issued.has(text) && !matches(scenario.putsBack, text)) {
      found.push(`issues a change that is not made without the fault: ${text}`);
    }
  }
  const keys = new Set([...Object.keys(good.end), ...Object.keys(run.end)]);
  const differing = [...keys].filter((key) => good.end[key] !== run.end[key] && !matches(scenario.mayDiffer, key));
  if (run.status === 0) {
    for (const key of differing) {
      found.push(
        `ends well, but ${key} is ${run.end[key]?.slice(0, 300) ?? "missing"} instead of ${good.end[key]?.slice(0, 300) ?? "missing"}`,
      );
    }
  } else {
    if (run.status !== 1) found.push(`ends with ${run.status ?? "a signal: it is not bounded in time"}`);
    const lines = run.stderr.trimEnd().split("\n");
    const named = new RegExp(`^tailkube: ${scenario.node.name}: ${scenario.stage}: .{20,}`);
    if (!named.test(lines[lines.length - 1]!))
      found.push(`fails without a message that says what could not be done: ${JSON.stringify(run.stderr)}`);
    else if (lines.length > 1) found.push(`fails with more than one line: ${JSON.stringify(run.stderr)}`);
  }
  return found;
}

describe("The Nth call of a stage fails", function () {
  this.timeout(all ? 3_600_000 : 240_000);
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
  });

  async function run(scenario: Scenario, root: string, fault?: Fault): Promise<Run> {
    resetRoot(root);
    const cluster = new FakeCluster(root, scenario.node);
    scenario.before(cluster);
    const text = renderStdin({
      node: scenario.node.name,
      stage: scenario.stage,
      files: filesOf(scenario),
      variables: {
        ...variables,
        TK_ROLE: scenario.node.role,
        TK_NODE_IP: scenario.node.ip,
        TK_MARK: mark(scenario.node.name),
        ...scenario.variables,
      },
    });
    return server.stage(cluster, text, scenario.verb, fault);
  }

  for (const scenario of scenarios) {
    it(`${scenario.stage}: ${scenario.title}`, async () => {
      const good = await run(scenario, roots[0]!);
      expect({ status: good.status, stderr: good.stderr }, JSON.stringify(good.calls.slice(-3))).to.deep.equal({
        status: 0,
        stderr: "",
      });
      const faults = faultsOf(good.calls, scenario.title);
      const found: { call: number; text: string; mode: Mode; what: string }[] = [];
      let next = 0;
      const work = async (root: string) => {
        for (let fault = faults[next++]; fault !== undefined; fault = faults[next++]) {
          const { text, occurrence, mode } = fault;
          const call = good.calls.findIndex((c) => c.text === text && c.occurrence === occurrence) + 1;
          for (const what of wrongs(scenario, good, await run(scenario, root, fault)))
            found.push({ call, text, mode, what });
        }
      };
      await Promise.all(roots.map(work));
      found.sort((a, b) => a.call - b.call);
      if (found.length > 0) {
        const lines = found.map(
          ({ call, text, mode, what }) => `call ${call} of ${good.calls.length}, ${mode}: ${text}\n          ${what}`,
        );
        throw new Error(`${found.length} faults are not borne:\n      ${lines.join("\n      ")}`);
      }
    });
  }
});
