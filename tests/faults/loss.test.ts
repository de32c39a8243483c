import { expect } from "chai";
import * as lab from "../lab/lab";
import { client, controlPlanes, etcd, lease, readiness, worker } from "./cluster";
import { faultSuite, loss } from "./faults";
import { outage } from "./outage";

const seconds = Number(process.env.TAILKUBE_FAULT_SECONDS ?? 600);
const percent = 5;
const components = ["kube-controller-manager", "kube-scheduler"];

describe(`${percent} % of the packets between all hosts are lost for ${seconds} s`, function () {
  faultSuite(this);

  async function leaders() {
    const leases = await Promise.all(components.map((name) => lease("cp1", "kube-system", name)));
    return { leases, etcd: controlPlanes.map((host) => ({ host, ...etcd(host) })) };
  }

  it("no leader is lost for good, every node stays Ready, and the program's own checks pass under it", async () => {
    const before = await leaders();
    const conditions = await Promise.all(lab.hosts.map((host) => readiness("cp1", host)));
    const asking = await client(worker, "read");
    const fault = await loss(percent);
    const notes: string[] = [];
    const note = (what: string) => notes.push(`${Math.round((Date.now() - fault.at) / 1000)} s: ${what}`);
    let checks = "";
    while (Date.now() < fault.at + seconds * 1000) {
      const now = await leaders().catch((error: Error) => void note(error.message));
      now?.leases.forEach(({ renewed }, i) => {
        if (renewed < Date.now() - 60_000) note(`${components[i]} has had no leader for a minute`);
      });
      for (const { host } of now?.etcd.filter(({ leader }) => !leader) ?? []) note(`etcd on ${host} has no leader`);
      if (checks === "" && Date.now() > fault.at + (seconds * 1000) / 2) checks = await repeated();
      await lab.sleep(5);
    }
    if (checks === "") checks = await repeated();
    const after = await leaders();
    const ready = await Promise.all(lab.hosts.map((host) => readiness("cp1", host)));
    await fault.undo();
    await asking.stop();
    const seen = outage(asking.samples(), fault.at);
    const elections = after.etcd.map(({ host, changes }, i) => `${host} ${changes - before.etcd[i]!.changes}`);
    const transitions = after.leases.map(
      ({ transitions }, i) => `${components[i]} ${transitions - before.leases[i]!.transitions}`,
    );
    const text = `${percent} % lost for ${seconds} s: changes of etcd's leader seen by ${elections.join(", ")}; changes of hands: ${transitions.join(", ")}; ${seen.failed} of ${seen.total} requests from ${worker} failed, no answer for ${seen.longest} ms at the longest; checks: ${checks}; seen: ${notes.join("; ") || "nothing"}`;
    console.log(`      ${text}`);
    expect(
      ready.map(({ status }) => status),
      text,
    ).to.deep.equal(lab.hosts.map(() => "True"));
    expect(
      ready.map(({ lastTransitionTime }) => lastTransitionTime),
      `a node was not Ready for a while; ${text}`,
    ).to.deep.equal(conditions.map(({ lastTransitionTime }) => lastTransitionTime));
    expect(
      after.leases.every(({ renewed }) => renewed > Date.now() - 60_000),
      text,
    ).to.equal(true);
    expect(
      after.etcd.map(({ leader }) => leader),
      text,
    ).to.deep.equal([true, true, true]);
    expect(
      notes.filter((line) => line.includes("for a minute")),
      text,
    ).to.deep.equal([]);
    expect(checks, text).to.match(/"paths"/);
  });

  /** The program's own checks, or why they failed. */
  async function repeated(): Promise<string> {
    try {
      return lab.repeatChecks().trim();
    } catch (error) {
      return (error as Error).message.trim();
    }
  }
});
