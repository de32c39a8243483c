/** What a run says of the paths that control planes have measured. */
import { expect } from "chai";
import { roundTripsOf, roundTripWarnings } from "../../../../components/kubernetes/round-trips";
import { configOf } from "../../config/fixtures";

const warnings = (result: string, etcd: object = {}) =>
  roundTripWarnings(configOf({ kubernetes: { etcd } }), roundTripsOf("cp2", result));
const declared = (roundTripMilliseconds: number) => ({ roundTripMilliseconds });
const slow = "cp1 251.3 50 48 relay:fra\ncp3 12.5 50 50 direct";

describe("the measured paths between control planes", () => {
  it("are read from a stage's result, and what is unknown stays unknown", () => {
    expect(roundTripsOf("cp2", `${slow}\ncp4 - - - relay:fra\ncp5 0.3 50 50 -`)).to.deep.equal([
      { from: "cp2", to: "cp1", average: 251.3, lost: 4, path: "relay:fra" },
      { from: "cp2", to: "cp3", average: 12.5, lost: 0, path: "direct" },
      { from: "cp2", to: "cp4", path: "relay:fra" },
      { from: "cp2", to: "cp5", average: 0.3, lost: 0 },
    ]);
    // Of an older program, and of the only control plane.
    for (const none of [undefined, ""]) expect(roundTripsOf("cp1", none)).to.deep.equal([]);
  });

  it("are nothing to report where etcd's time-outs suit them", () => {
    expect(warnings("cp1 100 50 49 relay:fra\ncp3 0.3 50 50 direct")).to.deep.equal([]);
    expect(warnings("")).to.deep.equal([]);
  });

  it("are reported with hosts, time, loss, relay and the value to declare, in one line", () => {
    expect(warnings(slow)).to.deep.equal([
      "etcd's time-outs (heartbeat 100 ms, election 1000 ms) are too short for cp2 to cp1: 251.3 ms, 4 % lost, relayed through fra, and the cluster may lose its leader again and again. Set kubernetes.etcd.roundTripMilliseconds: 280 (docs/operate/wan.md).",
    ]);
    expect(warnings("cp1 100.1 50 50 peer-relay")[0]).to.include("cp2 to cp1: 100.1 ms, through a peer relay, and");
  });

  it("are no longer reported when that value is declared, or as much by a user's own arguments", () => {
    for (const average of [101, 149.9, 251.3, 440, 455, 500]) {
      const result = `cp1 ${average} 50 45 direct`;
      const value = Number(/Milliseconds: (\d+) /.exec(warnings(result)[0]!)![1]);
      expect(value).to.be.at.least(average).and.at.most(500);
      expect(warnings(result, declared(value)), `${average}`).to.deep.equal([]);
    }
    const own = [
      { name: "heartbeat-interval", value: "300" },
      { name: "election-timeout", value: "5000" },
    ];
    expect(warnings(slow, { extraArgs: own })).to.deep.equal([]);
    expect(warnings(slow, declared(200))[0]).to.match(
      /^etcd's time-outs \(heartbeat 100 ms, election 3500 ms\) are too/,
    );
  });

  it("are reported for their loss alone, but not for one lost ping", () => {
    expect(warnings("cp1 1.5 50 49 direct")).to.deep.equal([]);
    const [line] = warnings("cp1 1.5 50 48 direct");
    expect(line).to.include("cp2 to cp1: 1.5 ms, 4 % lost,").and.to.include("roundTripMilliseconds: 10 ");
    expect(warnings("cp1 1.5 50 48 direct", declared(10))).to.deep.equal([]);
  });

  it("without an answer are said to be unknown, and neither too slow nor fine", () => {
    expect(warnings("cp1 - - - direct\ncp3 - - - -")).to.deep.equal([
      "The round-trip time between control planes is not known, because no ping was answered: cp2 to cp1: unknown; cp2 to cp3: unknown. etcd's time-outs (heartbeat 100 ms, election 1000 ms) suit up to 100 ms; for more, set kubernetes.etcd.roundTripMilliseconds (docs/operate/wan.md).",
    ]);
  });

  it("of a running cluster are reported also where no time-outs help, without a value to declare", () => {
    expect(warnings("cp1 612 50 50 relay:syd", declared(500))).to.deep.equal([
      "Control planes are too far from each other for etcd and the API: cp2 to cp1: 612 ms, relayed through syd. Above 500 ms no time-outs help. Give them a faster path, or replace them (docs/operate/wan.md).",
    ]);
  });

  it("to what is no longer a control plane are left out", () => {
    expect(warnings("cp9 251.3 50 50 direct\nw1 - - - -")).to.deep.equal([]);
  });
});
