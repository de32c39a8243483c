import { expect } from "chai";
import * as lab from "../lab/lab";
import { client, controlPlanes, etcd, lease, readiness, worker } from "./cluster";
import { delay, type Fault, faultSuite, loss } from "./faults";
import { outage } from "./outage";

const seconds = Number(process.env.TAILKUBE_FAULT_SECONDS ?? 600);
const components = ["kube-controller-manager", "kube-scheduler"];
/** How long a component may be without a leader, in milliseconds: a lease of 15 s, and three attempts at the next. */
const leaderless = 60_000;

describe(`a bad network between all hosts for ${seconds} s`, function () {
  faultSuite(this);

  async function leaders() {
    const leases = await Promise.all(components.map((name) => lease("cp1", "kube-system", name)));
    return { leases, etcd: controlPlanes.map((host) => ({ host, ...etcd(host) })) };
  }

  /** The program's own checks, or why they failed. */
  function checks(): string {
    try {
      return lab.repeatChecks().trim();
    } catch (error) {
      return (error as Error).message.trim();
    }
  }

  async function endure(what: string, make: () => Fault) {
    const before = await leaders();
    const conditions = await Promise.all(lab.hosts.map((host) => readiness("cp1", host)));
    const asking = await client(worker, "read");
    const fault = make();
    const notes: string[] = [];
    const note = (text: string) => notes.push(`${Math.round((Date.now() - fault.at) / 1000)} s: ${text}`);
    const lost: string[] = [];
    let checked: string | undefined;
    while (Date.now() < fault.at + seconds * 1000) {
      const now = await leaders().catch((error: Error) => void note(error.message));
      now?.leases.forEach(({ renewed }, i) => {
        if (renewed < Date.now() - leaderless) lost.push(components[i]!);
      });
      for (const { host } of now?.etcd.filter(({ leader }) => !leader) ?? []) note(`etcd on ${host} has no leader`);
      // In the middle, when all that was kept from before has run out.
      if (checked === undefined && Date.now() > fault.at + (seconds * 1000) / 2) checked = checks();
      await lab.sleep(5);
    }
    const after = await leaders();
    const ready = await Promise.all(lab.hosts.map((host) => readiness("cp1", host)));
    await fault.undo();
    await asking.stop();
    const seen = outage(asking.samples(), fault.at);
    const elections = after.etcd.map(({ host, changes }, i) => `${host} ${changes - before.etcd[i]!.changes}`);
    const transitions = after.leases.map(
      ({ transitions }, i) => `${components[i]} ${transitions - before.leases[i]!.transitions}`,
    );
    const text = `${what} for ${seconds} s: changes of etcd's leader as seen by ${elections.join(", ")}; changes of hands of ${transitions.join(", ")}; ${seen.failed} of ${seen.total} requests from ${worker} failed, no answer for ${seen.longest} ms at the longest; checks: ${checked}; beside: ${notes.join("; ") || "nothing"}`;
    console.log(`      ${text}`);
    expect(lost, `without a leader for ${leaderless / 1000} s; ${text}`).to.deep.equal([]);
    expect(
      after.etcd.map(({ leader }) => leader),
      text,
    ).to.deep.equal([true, true, true]);
    expect(
      ready.map(({ status }) => status),
      text,
    ).to.deep.equal(lab.hosts.map(() => "True"));
    expect(
      ready.map(({ lastTransitionTime }) => lastTransitionTime),
      `since when the nodes are Ready; ${text}`,
    ).to.deep.equal(conditions.map(({ lastTransitionTime }) => lastTransitionTime));
    expect(checked, text).to.match(/"paths":"[1-9]/);
  }

  it("5 % of the packets lost: no leader is lost for good, every node stays Ready, the program's checks pass", () =>
    endure("5 % of the packets lost", () => loss(5)));

  it("100 ms with a jitter of 30 ms: the same", async function () {
    const probe = delay(0, 0);
    // Not every kernel can.
    if (probe === undefined) return this.skip();
    await probe.undo();
    await endure("a delay of 100 ms with a jitter of 30 ms", () => delay(100, 30)!);
  });
});
