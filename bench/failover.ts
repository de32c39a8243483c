/** Part "failover": what a worker misses of the API while the endpoint moves; by the faults of tests/faults. */
import { sleep } from "../tests/lab/lab";
import { client, primary, settle, stopClients, worker } from "../tests/faults/cluster";
import { plainRecipe, stopApiServer } from "../tests/faults/faults";
import { type Outage, outage } from "../tests/faults/outage";
import { type Figure, median } from "./figures";
import { measure } from "./machine";
import { say } from "./shell";

const switches = 3;
/** How long the API server stays away, in seconds: with a watch, and without, where nothing but its return ends it. */
const away = { watched: 15, plain: 60 };

/** Kills the API server of the primary for some seconds, with a client on the worker meanwhile. */
async function kill(seconds: number): Promise<Outage> {
  const asking = await client(worker, "read");
  await sleep(3);
  const stopped = stopApiServer(primary());
  try {
    await sleep(seconds);
    const end = Date.now();
    await asking.stop();
    return outage(asking.samples(), stopped.at, end);
  } finally {
    await stopClients();
    await stopped.undo();
  }
}

export async function failoverFigures(): Promise<Figure[]> {
  say(`the primary's API server killed, ${switches} times, and once without the watch of the endpoint`);
  const seen: number[] = [];
  let noisy = false;
  for (let round = 1; round <= switches; round++) {
    await settle();
    const measured = await measure(() => kill(away.watched));
    noisy ||= measured.noisy;
    const { longest, failed, total } = measured.result;
    seen.push(longest / 1000);
    say(`switch ${round} of ${switches}: no answer for ${longest} ms, ${failed} of ${total} requests failed`);
  }
  await settle();
  const plain = await plainRecipe();
  let unwatched;
  try {
    await sleep(5);
    unwatched = await kill(away.plain);
  } finally {
    await plain.undo();
  }
  await settle();
  const came = unwatched.answeredBy.length > 0;
  const verdict = came ? `came back after ${unwatched.longest / 1000} s` : `not within the ${away.plain} s`;
  say(`the plain recipe: ${verdict}`);
  return [
    {
      part: "failover",
      name: "API server of the primary killed: no answer for",
      value: median(seen),
      unit: "s",
      goal: 4,
      samples: { tailkube: seen },
      sampleUnit: "s",
      noisy,
      note: `by the plain recipe the API came back: ${came ? verdict : `never (${verdict} that were waited for)`}`,
    },
  ];
}
