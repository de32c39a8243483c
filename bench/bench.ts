/**
 * `make bench`: figures about the program as ratios within one run, so that they mean the same on any machine. It is no
 * test: nothing fails because it was slow, and it ends with an error only where something could not be measured.
 *
 * usage: bench.ts [PART...]   without a part, all of them, in this order: preview cluster up throughput failover
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { output, root, state } from "../tests/lab/lab";
import { clusterFigures, pairsWanted } from "./cluster";
import { failoverFigures } from "./failover";
import { type Figure, table } from "./figures";
import { hasLab, labDown, someCluster, type StackOptions } from "./lab";
import { describeMachine, measure } from "./machine";
import { previewFigures } from "./preview";
import { secondUpFigures } from "./second-up";
import { say } from "./shell";
import { throughputFigures } from "./throughput";

const parts = ["preview", "cluster", "up", "throughput", "failover"] as const;
type Part = (typeof parts)[number];

/** The parts that are wanted, in the order in which they are measured. */
function wantedParts(args: readonly string[]): readonly Part[] {
  const unknown = args.find((arg) => !parts.some((part) => part === arg));
  if (unknown !== undefined) {
    throw new Error(`there is no part ${JSON.stringify(unknown)}. Allowed: ${parts.join(", ")}; none for all.`);
  }
  return args.length === 0 ? parts : parts.filter((part) => args.includes(part));
}

const figures: Figure[] = [];
const report = { file: join(state, "bench.json"), about: {} as Record<string, unknown> };

/** Kept after each part: a run takes its time, and may be ended before its end. */
function save(): void {
  mkdirSync(state, { recursive: true, mode: 0o700 });
  writeFileSync(report.file, `${JSON.stringify({ ...report.about, figures }, undefined, 2)}\n`);
}

async function main(args: readonly string[]): Promise<void> {
  const wanted = wantedParts(args);
  pairsWanted();
  const needsLab = wanted.some((part) => part !== "preview");
  if (needsLab && process.getuid?.() !== 0) throw new Error("the lab makes hosts on this machine: run it as root");
  if (needsLab && hasLab()) {
    say("removing the lab that is there");
    await labDown();
  }
  // What the plain script installs from, too.
  process.env.TAILKUBE_SOURCES = "bundle";
  const machine = describeMachine();
  say(`${machine.cpus} × ${machine.model}, ${machine.memoryGiB} GiB, load ${machine.load.join(" ")}`);
  const { others, noisy } = await measure(() => new Promise<void>((resolve) => setTimeout(resolve, 5000)));
  if (noisy) say(`others keep ${others.toFixed(2)} processors busy: what is measured meanwhile is marked as noisy`);
  report.about = {
    date: new Date().toISOString(),
    commit: execFileSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).trim(),
    engine: output("lab/engine", ["name"]).trim(),
    machine: { ...machine, othersBusy: Number(others.toFixed(2)) },
    noisy,
  };

  let cluster: StackOptions | undefined;
  const add = (more: readonly Figure[]) => {
    figures.push(...more);
    save();
    console.log(`\n${table(more)}\n`);
  };
  for (const part of wanted) {
    switch (part) {
      case "preview":
        add(await previewFigures());
        break;
      case "cluster": {
        const measured = await clusterFigures();
        cluster = measured.options;
        add(measured.figures);
        break;
      }
      case "up":
        add(await secondUpFigures((cluster ??= await someCluster())));
        break;
      case "throughput":
        cluster ??= await someCluster();
        add(await throughputFigures());
        break;
      case "failover":
        cluster ??= await someCluster();
        add(await failoverFigures());
        break;
    }
  }
  report.about.noisy = noisy || figures.some((figure) => figure.noisy);
  if (needsLab) await labDown();
  save();
  console.log(`\n${table(figures)}\n`);
  say(`written to ${report.file}${report.about.noisy ? "; some figures are noisy: others used the machine" : ""}`);
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: Error) => {
    console.error(`\nbench: ${error.message}`);
    if (hasLab()) console.error("The lab stays, to be looked at, with logs in lab/.state/bench; make down removes it.");
    process.exit(1);
  },
);
