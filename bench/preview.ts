/** Part "preview": how the program's own work, and the connections that it asks for, grow with the number of nodes. */
import { runProgram } from "../tests/preview/program";
import { type Connections, countConnections, nodesOf } from "./connections";
import { type Figure, median, ratio } from "./figures";
import { measure } from "./machine";
import { say } from "./shell";

const sizes = [4, 10, 25, 50, 100] as const;
const rounds = 5;
const part = "preview";

/** A further node should cost as much at the 100th as at the 10th, with something for what a machine's times vary by. */
const linear = 1.25;

/** What one run took, in milliseconds: in the world's time and in the processor's. */
interface Times {
  wall: number[];
  /** Neighbours on the machine add little to it; on an idle one it is the wall time, for nothing is waited for. */
  processor: number[];
}

/**
 * Runs the program with generated nodes against an engine that only notes what it is asked for. `isNew`: a cluster that is
 * not there yet, so that no resource has outputs; otherwise all have them, and the program works all of its documents out.
 */
async function preview(size: number, isNew: boolean, times: Times): Promise<void> {
  const before = process.cpuUsage();
  const run = await runProgram({ config: { nodes: nodesOf(size) }, preview: isNew });
  const { user, system } = process.cpuUsage(before);
  if (run.errors.length > 0) throw run.errors[0]!;
  times.wall.push(run.milliseconds);
  times.processor.push((user + system) / 1000);
}

async function growth(what: string, isNew: boolean): Promise<Figure[]> {
  const none = (): Times => ({ wall: [], processor: [] });
  // The first run loads the program's modules.
  await preview(sizes[0], isNew, none());
  const times = new Map<number, Times>(sizes.map((size) => [size, none()]));
  // Round by round, so that a slow moment of the machine hits all sizes.
  const { noisy } = await measure(async () => {
    for (let round = 1; round <= rounds; round++) {
      for (const size of sizes) await preview(size, isNew, times.get(size)!);
      const now = sizes.map((size) => `${size} nodes ${times.get(size)!.wall.at(-1)!.toFixed(0)} ms`);
      say(`${what}: round ${round} of ${rounds}: ${now.join(", ")}`);
    }
  });
  const perNode = (size: number) => times.get(size)!.wall.map((time) => time / size);
  const total = (size: number) => median(times.get(size)!.processor);
  const slope = (from: number, to: number) => (total(to) - total(from)) / (to - from);
  return [
    {
      part,
      name: `${what}: time per node, 100 nodes to 4`,
      value: ratio(perNode(100), perNode(4)),
      unit: "ratio",
      goal: linear,
      samples: Object.fromEntries(sizes.map((size) => [`${size} nodes`, perNode(size)])),
      sampleUnit: "ms a node",
      noisy,
    },
    {
      // What is the same for any size makes few nodes look dear, and would hide that many are dearer: so also this.
      part,
      name: `${what}: a further node, 50…100 to 10…50`,
      value: slope(50, 100) / slope(10, 50),
      unit: "ratio",
      goal: linear,
      samples: { "50…100": [slope(50, 100)], "10…50": [slope(10, 50)] },
      sampleUnit: "ms of a processor",
      noisy,
    },
  ];
}

async function connections(): Promise<Figure[]> {
  const counts: (Connections & { size: number })[] = [];
  for (const size of sizes) {
    const run = await runProgram({ config: { nodes: nodesOf(size) } });
    if (run.errors.length > 0) throw run.errors[0]!;
    counts.push({ size, ...countConnections(run.resources, nodesOf(size)) });
  }
  const first = counts[0]!;
  const last = counts.at(-1)!;
  const samples = Object.fromEntries(counts.map((count) => [`${count.size} nodes`, [count.total]]));
  const ends = [first, last].map((count): Figure => ({
    part,
    name: `SSH connections of a first up, ${count.size} nodes`,
    value: count.total / count.size,
    unit: "per node",
    goal: 6,
    samples: { all: [count.total], "to the busiest host": [count.busiest], "key scans": [count.keyScans] },
    sampleUnit: "",
  }));
  const further: Figure = {
    part,
    name: "SSH connections of a first up: a further node",
    value: (last.total - first.total) / (last.size - first.size),
    unit: "per node",
    goal: 6,
    samples,
    sampleUnit: "",
  };
  return [...ends, further];
}

export async function previewFigures(): Promise<Figure[]> {
  say("the program alone, with 4 to 100 nodes and nothing behind it");
  return [
    ...(await growth("preview of a new cluster", true)),
    ...(await growth("preview of a cluster that is there", false)),
    ...(await connections()),
  ];
}
