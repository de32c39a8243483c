/** The rule that keeps the endpoint's address from two control planes of a lan at once. */
import { expect } from "chai";
import fc from "fast-check";
import { duration, type Held, overlap, type Round, Rule, type Schedule, simulate } from "./lease-model";

/** Mostly short, and now and then as long as that. */
const often = (usual: number, longest: number) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: usual }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: longest }) },
  );

const round: fc.Arbitrary<Round> = fc.record({
  there: often(40, 6000),
  back: often(40, 3000),
  lost: fc.oneof(
    { weight: 8, arbitrary: fc.constant("" as const) },
    { weight: 1, arbitrary: fc.constantFrom("request" as const, "answer" as const) },
  ),
  lag: often(20, 9000),
  pause: often(200, 12_000),
  slack: fc.integer({ min: 0, max: 1100 }),
  set: fc.integer({ min: 0, max: 100 }),
  stops: fc.oneof({ weight: 15, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});

const schedule: fc.Arbitrary<Schedule> = fc.record({
  hosts: fc.array(
    fc.record({
      speed: fc.double({ min: 0.98, max: 1.02, noNaN: true }),
      offset: fc.integer({ min: 0, max: 10 ** 9 }),
      rounds: fc.array(round, { minLength: 1, maxLength: 25 }),
    }),
    { minLength: 2, maxLength: 4 },
  ),
  deletions: fc.array(fc.integer({ min: 0, max: duration }), { maxLength: 3 }),
  partitions: fc.array(
    fc.record({
      host: fc.integer({ min: 0, max: 3 }),
      from: fc.integer({ min: 0, max: duration }),
      for: fc.integer({ min: 0, max: 20_000 }),
    }),
    { maxLength: 4 },
  ),
});

const calm: Round = { there: 5, back: 5, lost: "", lag: 2, pause: 0, slack: 500, set: 5, stops: false };
const hosts = (...rounds: Round[][]): Schedule => ({
  hosts: rounds.map((own, i) => ({ speed: 1, offset: 1000 * i, rounds: own })),
  deletions: [],
  partitions: [],
});

describe("lib/control-plane/endpoint-lease.sh", function () {
  this.timeout(600_000);
  const rules: Rule[] = [];
  const rule = (changed?: Record<string, number>) => {
    rules.push(new Rule(changed));
    return rules.at(-1)!;
  };
  afterEach(() => {
    for (const one of rules.splice(0)) one.close();
  });
  /** The times between the moments when any host has the address. */
  const gaps = (held: readonly Held[]) => {
    const sorted = [...held].sort((a, b) => a.from - b.from);
    return sorted.slice(1).map(({ from }, i) => Math.round(from - sorted[i]!.until));
  };

  it("at no time do two hosts have the address, whatever is late, lost, cut off, deleted or stands still", async () => {
    const sound = rule();
    let moves = 0;
    await fc.assert(
      fc.asyncProperty(schedule, async (given) => {
        const held = await simulate(sound, given);
        moves += held.length;
        expect(overlap(held)).to.equal(undefined);
      }),
      { numRuns: Number(process.env.LEASE_RUNS ?? 200) },
    );
    // The schedules do make it move.
    expect(moves).to.be.greaterThan(100);
  });

  it("the worst that it has to bear: two holders, were it any weaker", async () => {
    // The holder's watch stands still after a renewal, its clock is slow, and its kernel late; the other's clock is fast.
    const late = { ...calm, slack: 1100, set: 100 };
    const given = hosts(
      [...Array.from({ length: 20 }, () => late), { ...late, pause: duration }],
      [{ ...calm, there: 6 }],
    );
    given.hosts[0]!.speed = 0.98;
    given.hosts[1]!.speed = 1.02;
    const found = async (changed: Record<string, number>) => overlap(await simulate(rule(changed), given));
    expect(await found({})).to.equal(undefined);
    expect(await found({ lease_duration: 3500 }), "others take it sooner").to.not.equal(undefined);
    expect(await found({ lease_gone: 5800 }), "the kernel keeps it longer").to.not.equal(undefined);
    expect(await found({ lease_gone: 5000, lease_slack: 0 }), "the kernel is never late").to.not.equal(undefined);
  });

  it("a calm cluster: one has it after the first lease has run out, and keeps it", async () => {
    const held = await simulate(rule(), hosts([calm], [calm], [calm]));
    expect(held).to.have.lengthOf(1);
    expect(held[0]!.from).to.be.within(5000, 6000);
    expect(held[0]!.until).to.equal(duration);
  });

  it("a host without power: another one has it within 6.5 s of its last renewal", async () => {
    const given = hosts([calm], [{ ...calm, there: 6 }]);
    const held = await simulate(rule(), { ...given, partitions: [{ host: 0, from: 20_000, for: duration }] });
    expect(held.map(({ host }) => host)).to.deep.equal([0, 1]);
    expect(held[0]!.until).to.be.within(22_000, 24_700);
    expect(held[1]!.from).to.be.within(24_700, 26_500);
  });

  it("one that hands it over: another one has it within a second, and renewals that fail for 2 s lose nothing", async () => {
    const rounds = [...Array.from({ length: 40 }, () => calm), { ...calm, stops: true }, { ...calm, pause: duration }];
    const held = await simulate(rule(), hosts(rounds, [{ ...calm, there: 6 }]));
    expect(held.map(({ host }) => host)).to.deep.equal([0, 1]);
    expect(Math.max(...gaps(held))).to.be.below(1000);
    const election = hosts([calm], [calm]);
    const partitions = [0, 1].map((host) => ({ host, from: 20_000, for: 2000 }));
    expect(await simulate(rule(), { ...election, partitions })).to.have.lengthOf(1);
  });
});
