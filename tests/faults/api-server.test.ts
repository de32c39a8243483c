import { expect } from "chai";
import * as lab from "../lab/lab";
import { client, type ControlPlane, lease, others, primary, readiness, settle, worker } from "./cluster";
import { type Fault, faultSuite, freezeApiServer, plainRecipe, stopApiServer } from "./faults";
import { median, outage } from "./outage";

/** What a clients' request may cost when the endpoint moves, in milliseconds. */
const bound = 4000;

describe("only the API server of the primary stops", function () {
  faultSuite(this);

  /** Stops it for some seconds. What the worker, the sick host itself and its kubelet saw meanwhile. */
  async function round(what: string, seconds: number, stop: (host: ControlPlane) => Fault) {
    const sick = primary();
    const [healthy] = others(sick);
    const before = await readiness(healthy, sick);
    const clients = [await client(worker, "read"), await client(sick, "read")];
    await lab.sleep(3);
    const stopped = stop(sick);
    await lab.sleep(seconds);
    const end = Date.now();
    const after = await readiness(healthy, sick);
    const { renewed } = await lease(healthy, "kube-node-lease", sick);
    for (const one of clients) await one.stop();
    await stopped.undo();
    const [fromWorker, fromItself] = clients.map((one) => outage(one.samples(), stopped.at, end));
    const figures = {
      what,
      sick,
      fromWorker: fromWorker!,
      fromItself: fromItself!,
      kubelet: { ready: after.status, sameSince: before.lastTransitionTime === after.lastTransitionTime },
      silence: end - renewed,
      seconds,
    };
    console.log(`      ${describeRound(figures)}`);
    return figures;
  }

  type Round = Awaited<ReturnType<typeof round>>;

  function describeRound({ what, sick, fromWorker, fromItself, kubelet, silence, seconds }: Round): string {
    const seen = (from: string, { longest, failed, total, answeredBy }: Round["fromWorker"]) =>
      `${from} had no answer for ${longest} ms (${failed} of ${total} requests failed; answered by ${answeredBy.join(", ") || "nobody"})`;
    return `API server of ${sick} ${what} for ${seconds} s: ${seen(worker, fromWorker)}; ${seen(sick, fromItself)}; its node Ready: ${kubelet.ready}, its kubelet silent for ${(silence / 1000).toFixed(0)} s`;
  }

  it("the API is back within 4 s, from a worker and from the sick host, and the sick host stays Ready", async () => {
    // Once for longer than a node without a kubelet stays Ready.
    const rounds: Round[] = [];
    for (const seconds of [70, 20, 20]) {
      await settle();
      rounds.push(await round("stopped", seconds, stopApiServer));
    }
    const [fromWorker, fromItself] = [
      median(rounds.map((one) => one.fromWorker.longest)),
      median(rounds.map((one) => one.fromItself.longest)),
    ];
    console.log(`      median: ${fromWorker} ms from ${worker}, ${fromItself} ms from the sick host`);
    const all = rounds.map(describeRound).join("\n");
    expect(Math.max(fromWorker, fromItself), all).to.be.at.most(bound);
    for (const { kubelet, silence } of rounds) {
      expect(kubelet, all).to.deep.equal({ ready: "True", sameSince: true });
      // It renews its lease every 10 s.
      expect(silence, all).to.be.at.most(20_000);
    }
  });

  it("it hangs instead: the API is back within 10 s", async () => {
    // Each of two looks waits 2 s for an answer. The kubelet would restart a server that hangs for more than a minute.
    const figures = await round("hung", 30, freezeApiServer);
    const { fromWorker, fromItself } = figures;
    expect(Math.max(fromWorker.longest, fromItself.longest), describeRound(figures)).to.be.at.most(10_000);
  });

  it("by the plain recipe, without the watch, it does not come back", async () => {
    const plain = await plainRecipe();
    await lab.sleep(5);
    const seconds = 70;
    const figures = await round("stopped, by the plain recipe,", seconds, stopApiServer);
    // Recovered before anything is said: a failure must not leave the endpoint with the sick host.
    await plain.undo();
    await settle();
    const { fromWorker, fromItself, silence } = figures;
    expect(Math.min(fromWorker.longest, fromItself.longest, silence), describeRound(figures)).to.be.at.least(
      (seconds - 1) * 1000,
    );
  });
});
