import { expect } from "chai";
import * as lab from "../lab/lab";
import { client, type ControlPlane, primary, settle, worker } from "./cluster";
import { command, type Fault, fault, faultSuite, killHost, pullCable, reboot } from "./faults";
import { median, outage } from "./outage";

describe("the primary's host fails", function () {
  faultSuite(this);

  /** Three times the fault on whichever host is the primary, for some seconds each; what a worker saw until all was well. */
  async function threeTimes(what: string, seconds: number, make: (host: ControlPlane) => Fault | Promise<Fault>) {
    const rounds = [];
    for (let round = 1; round <= 3; round++) {
      await settle();
      const host = primary();
      const asking = await client(worker, "read");
      await lab.sleep(3);
      const fault = await make(host);
      await lab.sleep(seconds);
      await fault.undo();
      // Its return may cost no more than its loss.
      await settle();
      await lab.sleep(3);
      await asking.stop();
      const seen = outage(asking.samples(), fault.at);
      rounds.push({
        ...seen,
        text: `${host} ${what}: ${worker} had no answer for ${seen.longest} ms (${seen.failed} of ${seen.total} requests failed; apart from the switch: ${seen.apart.join(", ") || "none"}; answered by ${seen.answeredBy.join(", ")})`,
      });
      console.log(`      ${rounds.at(-1)!.text}`);
    }
    const middle = median(rounds.map(({ longest }) => longest));
    console.log(`      median: ${middle} ms`);
    return { rounds, median: middle, text: rounds.map(({ text }) => text).join("\n") };
  }

  it("cable pulled: the API is back from a worker within 20 s", async () => {
    const seen = await threeTimes("lost its cable", 40, pullCable);
    expect(seen.median, seen.text).to.be.at.most(20_000);
  });

  it("killed: the API is back from a worker within 20 s", async () => {
    const seen = await threeTimes("lost its power", 40, killHost);
    expect(seen.median, seen.text).to.be.at.most(20_000);
  });

  it("rebooted in order: within 5 s, and no request fails but for the switch", async () => {
    const seen = await threeTimes("was rebooted", 0, reboot);
    expect(seen.median, seen.text).to.be.at.most(5_000);
    expect(
      seen.rounds.flatMap(({ apart }) => apart),
      seen.text,
    ).to.deep.equal([]);
  });
});

describe("a host whose node IP does not come back after a boot", function () {
  faultSuite(this);

  it("comes to the end of its boot, and its kubelet starts when the address is there", async () => {
    command(worker, "systemctl mask --quiet tailscaled.service");
    const unmasked = fault(
      Date.now(),
      () => void command(worker, "systemctl unmask --quiet tailscaled.service; systemctl start tailscaled.service"),
    );
    // It waits until systemd has nothing more to start.
    await lab.run("lab/hosts/hosts", ["reboot", worker], 400);
    expect(command(worker, "systemctl is-active kubelet.service || true").trim()).to.equal("inactive");
    await unmasked.undo();
    await lab.until(
      `the kubelet of ${worker}`,
      () => lab.onHost(worker, "systemctl is-active kubelet.service").trim() === "active",
      30,
    );
    await settle();
  });
});
