/** etcd's time-outs, as they follow from a declared round-trip time. */
import { expect } from "chai";
import fc from "fast-check";
import {
  defaultTiming,
  etcdTiming,
  longestRoundTrip,
  timingOf,
  timingProblem,
  toleratedRoundTrip,
  toleratesLoss,
} from "../../../../../components/kubernetes/settings/etcd-timing";
import { configOf } from "../../../config/fixtures";

const roundTrips = () => fc.integer({ min: 1, max: longestRoundTrip });
const etcd = (settings: object) => configOf({ kubernetes: { etcd: settings } }).settings;
const own = (...pairs: [string, string][]) => etcd({ extraArgs: pairs.map(([name, value]) => ({ name, value })) });

describe("etcd's time-outs of a declared round-trip time", () => {
  it("are ones that etcd starts with, and that its guide allows", () => {
    fc.assert(
      fc.property(roundTrips(), (roundTrip) => {
        const { heartbeat, election } = etcdTiming(roundTrip);
        // etcd's own rules, written down once more.
        expect(heartbeat).to.be.above(0);
        expect(election)
          .to.be.at.least(5 * heartbeat)
          .and.at.most(50_000);
        expect(timingProblem({ heartbeat, election })).to.equal(undefined);
        // It counts in whole heartbeats, so nothing is lost by its division.
        expect(election % heartbeat).to.equal(0);
        expect(heartbeat).to.be.at.least(roundTrip / 2);
        if (heartbeat !== defaultTiming.heartbeat) expect(heartbeat).to.be.at.most(1.5 * roundTrip);
        expect(election).to.be.at.least(10 * roundTrip);
        expect(toleratedRoundTrip({ heartbeat, election })).to.be.at.least(roundTrip);
      }),
      { numRuns: longestRoundTrip },
    );
  });

  it("outlast a heartbeat that is lost three times, on every path that is not longer than declared", () => {
    fc.assert(
      fc.property(roundTrips(), roundTrips(), (a, b) => {
        const [declared, roundTrip] = [Math.max(a, b), Math.min(a, b)];
        const timing = etcdTiming(declared);
        const resent = 200 + roundTrip;
        expect(timing.election).to.be.at.least(resent + 2 * resent + 4 * resent + roundTrip / 2 + timing.heartbeat);
        expect(toleratesLoss(timing, roundTrip)).to.equal(true);
      }),
    );
  });

  it("are always other ones than etcd's, and longer for longer paths", () => {
    fc.assert(
      fc.property(roundTrips(), (roundTrip) => {
        const now = etcdTiming(roundTrip);
        expect(now.election).to.be.above(defaultTiming.election);
        const next = etcdTiming(roundTrip + 1);
        expect(next.heartbeat).to.be.at.least(now.heartbeat);
        // It is rounded up to a whole heartbeat.
        expect(next.election + next.heartbeat).to.be.above(now.election);
      }),
    );
  });

  it("leave four heartbeats to a member that still has the default election time-out", () => {
    expect(etcdTiming(longestRoundTrip).heartbeat * 4).to.be.at.most(defaultTiming.election);
  });

  for (const [roundTrip, heartbeat, election] of [
    [1, 100, 1600],
    [80, 100, 2300],
    [250, 125, 4000],
    [500, 250, 6500],
  ] as const) {
    it(`are ${heartbeat} and ${election} ms for ${roundTrip} ms`, () => {
      expect(etcdTiming(roundTrip)).to.deep.equal({ heartbeat, election });
      expect(timingOf(etcd({ roundTripMilliseconds: roundTrip }))).to.deep.equal({ heartbeat, election });
    });
  }
});

describe("the time-outs that members run with", () => {
  it("are etcd's without settings, which suit round trips of up to 100 ms and no loss", () => {
    expect(timingOf(undefined)).to.deep.equal({ heartbeat: 100, election: 1000 });
    expect(timingOf(own(["quota-backend-bytes", "1"]))).to.deep.equal({ heartbeat: 100, election: 1000 });
    expect(toleratedRoundTrip(defaultTiming)).to.equal(100);
    expect(toleratesLoss(defaultTiming, 0)).to.equal(false);
  });

  it("are a user's own arguments, of which the last counts, unless they are not written in digits", () => {
    const settings = own(["heartbeat-interval", "50"], ["heartbeat-interval", "200"], ["election-timeout", "3000"]);
    expect(timingOf(settings)).to.deep.equal({ heartbeat: 200, election: 3000 });
    expect(toleratedRoundTrip(timingOf(settings)!)).to.equal(300);
    for (const value of ["0x64", "0100", "1e3", "1s", "-1"]) {
      expect(timingOf(own(["heartbeat-interval", value])), value).to.equal(undefined);
    }
  });
});
