/** The paths between control planes in the whole program. */
import * as pulumi from "@pulumi/pulumi";
import { expect } from "chai";
import { find, type RunArgs, runProgram, variablesOf } from "./program";

/** A run, and what it warns of the paths. */
async function warned(args: RunArgs) {
  const found: string[] = [];
  const { warn } = pulumi.log;
  const log = pulumi.log as { warn: typeof warn };
  log.warn = (message) => Promise.resolve(void found.push(message));
  const run = await runProgram(args).finally(() => (log.warn = warn));
  expect(run.errors).to.deep.equal([]);
  return { run, found: found.filter((line) => line.includes("docs/operate/wan.md")) };
}

describe("the paths between control planes", () => {
  const roundTrips = {
    cp1: "cp2 251.3 50 48 relay:fra\ncp3 0.3 50 50 direct",
    cp3: "cp1 0.3 50 50 direct\ncp2 - - - -",
  };

  it("are a warning where etcd's time-outs do not suit them, until others are declared", async () => {
    const { run, found } = await warned({ roundTrips });
    expect(found.filter((line) => /cp1 to cp2: 251\.3 ms, 4 % lost, relayed through fra,/.test(line))).to.have.lengthOf(
      1,
    );
    expect(found.filter((line) => /not known, .* cp3 to cp2: unknown\./.test(line))).to.have.lengthOf(1);
    expect(found).to.have.lengthOf(2);
    expect(variablesOf(find(run, "cp2-control-plane").inputs.stdin as string).TK_ROUND_TRIP_LIMIT).to.equal("500");
    const etcd = { roundTripMilliseconds: 280 };
    const again = await warned({ roundTrips, config: { kubernetes: { etcd } } });
    expect(again.found.join()).to.match(/^The round-trip time between control planes is not known/);
    for (const stage of ["control-plane", "upgrade"]) {
      expect(variablesOf(find(again.run, `cp2-${stage}`).inputs.stdin as string).TK_ETCD_ARGUMENTS).to.equal(
        "--heartbeat-interval=140\n--election-timeout=4340",
      );
    }
  });

  it("are nothing to warn of without a measurement, as of an older program", async () => {
    expect((await warned({})).found).to.deep.equal([]);
  });
});
