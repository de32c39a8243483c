import { expect } from "chai";
import * as lab from "../lab/lab";
import {
  client,
  type ControlPlane,
  controlPlanes,
  etcd,
  freshNamespace,
  get,
  namespace,
  others,
  primary,
  removeNamespace,
  settle,
  worker,
} from "./cluster";
import { faultSuite, partition } from "./faults";
import { outage } from "./outage";

const seconds = 120;

describe("one control plane is cut off from the other two", function () {
  faultSuite(this);
  beforeEach(() => freshNamespace());
  after(() => removeNamespace());

  /** The numbers that a control plane's own API server reads from etcd's majority. */
  async function numbers(host: ControlPlane): Promise<Set<number>> {
    const { items } = await get<{ items: { data?: { number?: string } }[] }>(
      host,
      `/api/v1/namespaces/${namespace}/configmaps`,
    );
    return new Set(items.flatMap(({ data }) => (data?.number === undefined ? [] : [Number(data.number)])));
  }

  async function cut(host: ControlPlane) {
    const writing = await client(worker, "write");
    await lab.sleep(3);
    const fault = partition(host);
    await lab.sleep(seconds);
    const end = Date.now();
    const without = etcd(host);
    await fault.undo();
    await settle();
    await lab.sleep(3);
    await writing.stop();
    const acknowledged = writing.samples().filter(({ ok }) => ok);
    const meanwhile = acknowledged.filter((s) => s.start >= fault.at && s.end <= end).length;
    const seen = outage(writing.samples(), fault.at);
    const lost: string[] = [];
    for (const reader of controlPlanes) {
      const there = await numbers(reader);
      const missing = acknowledged.filter(({ number }) => !there.has(number));
      if (missing.length > 0) lost.push(`${reader} lacks ${missing.map(({ number }) => number).join(", ")}`);
    }
    const text = `${host} cut off for ${seconds} s: ${meanwhile} writes acknowledged meanwhile, ${acknowledged.length} in all, ${seen.failed} failed; none was acknowledged for ${seen.longest} ms at the longest; lost: ${lost.join("; ") || "none"}`;
    console.log(`      ${text}`);
    expect(without.leader, `${host} was cut off: its etcd had no leader`).to.equal(false);
    expect(lost, text).to.deep.equal([]);
    // Five a second are tried.
    expect(meanwhile, text).to.be.at.least((seconds - 20) * 4);
    expect(seen.longest, text).to.be.at.most(15_000);
    // The cluster is at rest again: each member of etcd has a leader, each node is Ready and its kubelet reports.
    expect(controlPlanes.map((one) => etcd(one).leader)).to.deep.equal([true, true, true]);
  }

  it("that has the endpoint: writes go on at the majority, and none that was acknowledged is lost", () =>
    cut(primary()));

  it("that has not: the same", () => cut(others(primary())[0]));
});
