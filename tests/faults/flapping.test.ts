import { expect } from "chai";
import * as lab from "../lab/lab";
import { endpoint } from "./api";
import { client, type ControlPlane, controlPlanes, primary, worker } from "./cluster";
import { faultSuite, stopApiServer } from "./faults";
import { outage } from "./outage";

const stops = 10;
/** Seconds from one stop to the next: all of them take five minutes. */
const period = 30;
const stoppedFor = 6;

describe("an API server that flaps", function () {
  faultSuite(this);

  /** To whom the tailnet's server has given the endpoint's route, in order, since its log was that long. */
  function primaries(since: number): string[] {
    const log = lab.read("tailnet/log").slice(since);
    return [...log.matchAll(new RegExp(`route ${endpoint}/32: primary is (\\S+)`, "g"))].map(([, name]) => name!);
  }

  /** How often a host's watch took the endpoint back since then (in milliseconds). */
  function returns(host: ControlPlane, since: number): number {
    const journal = lab.onHost(
      host,
      `journalctl --no-pager -o cat -u tailkube-endpoint --since @${Math.floor(since / 1000)}`,
    );
    return journal.split("\n").filter((line) => line.startsWith("endpoint up")).length;
  }

  /** Stops API servers, one every half minute for a moment, and says what became of the endpoint. */
  async function flap(which: () => ControlPlane) {
    const logged = lab.read("tailnet/log").length;
    const asking = await client(worker, "read");
    const start = Date.now();
    const stopped: ControlPlane[] = [];
    for (let stop = 0; stop < stops; stop++) {
      while (Date.now() < start + stop * period * 1000) await lab.sleep(0.1);
      stopped.push(which());
      const fault = stopApiServer(stopped.at(-1)!);
      await lab.sleep(stoppedFor);
      await fault.undo();
    }
    while (Date.now() < start + stops * period * 1000) await lab.sleep(0.1);
    await asking.stop();
    const seen = outage(asking.samples(), start);
    const moves = primaries(logged);
    const back = controlPlanes.map((host) => `${host} ${returns(host, start)}`).join(", ");
    const text = `stops of ${stopped.join(", ")} within ${stops * period} s: the route moved ${moves.length} times (${moves.join(", ")}); the endpoint came back on ${back} times; ${worker} had no answer for ${seen.longest} ms at the longest (${seen.failed} of ${seen.total} requests failed)`;
    console.log(`      ${text}`);
    return { seen, moves, text, back: (host: ControlPlane) => returns(host, start) };
  }

  it("on one host, ten times in five minutes, moves the route once and brings the endpoint back ever more seldom", async () => {
    const host = primary();
    const { seen, moves, text, back } = await flap(() => host);
    expect(moves, text).to.have.length(1);
    expect(back(host), text).to.be.within(1, stops / 2);
    expect(seen.longest, text).to.be.at.most(4000);
  });

  it("on whichever is the primary, moves the route once for each stop and leaves it nowhere", async () => {
    const { seen, moves, text } = await flap(primary);
    expect(moves, text).to.have.length(stops);
    expect(seen.longest, text).to.be.at.most(4000);
  });
});
