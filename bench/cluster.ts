/** Part "cluster": from prepared hosts to a Ready cluster, and one more worker, beside a plain script that does the same. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { refreshKubeconfig } from "../tests/faults/stack";
import { state } from "../tests/lab/lab";
import { plainDirectory, writeDocuments } from "./documents";
import { type Figure, ratio } from "./figures";
import {
  artifacts,
  chooseStack,
  clusterShape,
  engineUp,
  furtherHost,
  further,
  newHosts,
  type StackOptions,
} from "./lab";
import { measure } from "./machine";
import { difference } from "./shape";
import { command, inSeconds, say } from "./shell";

/** How many times both ways are gone; one pair takes some 8 minutes. */
export function pairsWanted(text = process.env.TAILKUBE_BENCH_PAIRS ?? "2"): number {
  const pairs = Number(text);
  if (!Number.isInteger(pairs) || pairs < 1 || pairs > 20) {
    throw new Error(`TAILKUBE_BENCH_PAIRS: ${JSON.stringify(text)} is refused. Allowed: a whole number from 1 to 20.`);
  }
  return pairs;
}

/** One way from new hosts to a cluster, and from there to one more worker. */
interface Way {
  name: string;
  cluster(): Promise<void>;
  worker(): Promise<void>;
  /** Makes kubectl talk to the cluster. */
  use(): void;
}

/** Seconds that the steps of one way took. */
interface Times {
  cluster: number[];
  worker: number[];
  noisy: boolean;
}

const plain: Way = {
  name: "plain script",
  async cluster() {
    await command(["bench/plain.sh", "cluster", plainDirectory], { seconds: 1800, log: "plain-cluster" });
  },
  async worker() {
    await command(["bench/plain.sh", "worker", plainDirectory, further], { seconds: 900, log: "plain-worker" });
  },
  use: () => copyFileSync(join(plainDirectory, "kubeconfig"), join(state, "kubeconfig")),
};

/** What the script does and no more, or all that the program does by itself: the hardening and the checks, too. */
const tailkube = (whole: boolean): Way => ({
  name: whole ? "tailkube with hardening and checks" : "tailkube",
  cluster: () => engineUp({ checks: whole, hardened: whole, more: false }),
  worker: () => engineUp({ checks: whole, hardened: whole, more: true }),
  use: refreshKubeconfig,
});

/** Goes a way from new hosts on. Returns what the cluster looks like with four nodes. */
async function go(way: Way, times: Times): Promise<string> {
  await newHosts();
  if (way === plain) writeDocuments(chooseStack({ checks: false, hardened: false, more: false }));
  const cluster = await measure(() => way.cluster());
  say(`${way.name}: a Ready cluster after ${inSeconds(cluster.seconds)}${busy(cluster.others)}`);
  way.use();
  const shape = clusterShape({ more: false });
  await furtherHost();
  if (way === plain) writeDocuments(chooseStack({ checks: false, hardened: false, more: true }), { more: true });
  const worker = await measure(() => way.worker());
  say(`${way.name}: one more worker after ${inSeconds(worker.seconds)}${busy(worker.others)}`);
  way.use();
  clusterShape({ more: true });
  times.cluster.push(cluster.seconds);
  times.worker.push(worker.seconds);
  times.noisy ||= cluster.noisy || worker.noisy;
  return shape;
}

const busy = (others: number) => (others > 0.05 ? `, while others kept ${others.toFixed(2)} processors busy` : "");

/** Leaves a cluster of the program's behind, with its checks and the further worker. */
export async function clusterFigures(): Promise<{ figures: Figure[]; options: StackOptions }> {
  const pairs = pairsWanted();
  say(`time to a cluster, beside a plain script: ${pairs} times both, then once with hardening and checks`);
  await artifacts();
  const none = (): Times => ({ cluster: [], worker: [], noisy: false });
  const [byHand, without, whole] = [none(), none(), none()];
  let note: string | undefined;
  for (let pair = 1; pair <= pairs; pair++) {
    const shapes = { plain: "", tailkube: "" };
    // The order changes, so that what the machine remembers favours neither.
    const both = [
      async () => (shapes.plain = await go(plain, byHand)),
      async () => (shapes.tailkube = await go(tailkube(false), without)),
    ];
    for (const one of pair % 2 === 1 ? both : both.reverse()) await one();
    note ??= difference(shapes.tailkube, shapes.plain);
  }
  await go(tailkube(true), whole);
  const figure = (name: string, of: Times, step: "cluster" | "worker", more: Partial<Figure> = {}): Figure => ({
    part: "cluster",
    name,
    value: ratio(of[step], byHand[step]),
    unit: "ratio",
    samples: { tailkube: of[step], "plain script": byHand[step] },
    sampleUnit: "s",
    noisy: of.noisy || byHand.noisy,
    ...more,
  });
  return {
    figures: [
      figure("prepared hosts to a Ready cluster", without, "cluster", { goal: 1.15, note }),
      figure("prepared hosts to a cluster, with hardening and checks", whole, "cluster"),
      figure("one more worker", without, "worker", { goal: 1.15 }),
      figure("one more worker, with hardening and checks", whole, "worker"),
    ],
    options: { checks: true, hardened: true, more: true },
  };
}
