/** Part "up": an `up` that has nothing to do, beside those of programs that declare nothing, by the same engine. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { output, root, state } from "../tests/lab/lab";
import { type Figure, ratio } from "./figures";
import { engineUp, type StackOptions } from "./lab";
import { measure } from "./machine";
import { command, inSeconds, say, scratch } from "./shell";

const rounds = 5;

/** Programs to compare with. What the second one costs is Pulumi's SDK, which every program loads. */
const programs = {
  "empty program": "",
  "SDK alone": 'exports.stack = require("@pulumi/pulumi").getStack();\n',
};
type Program = keyof typeof programs;
const all = Object.keys(programs) as Program[];

const folderOf = (program: Program) => join(scratch, program.replace(" ", "-"));

/** A program that declares nothing, in JavaScript, so that nothing has to be compiled. Node.js finds the packages in the folders above. */
function writeProgram(program: Program): void {
  const folder = folderOf(program);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { runtime } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { runtime: unknown };
  const files = {
    "Pulumi.yaml": stringify({ name: "empty", runtime }),
    "Pulumi.dev.yaml": "config: {}\n",
    "package.json": '{ "name": "empty", "main": "index.js" }\n',
    "index.js": programs[program],
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

/** The CLI of lab/engine, on another program, with the same settings. */
function pulumi(program: Program, verb: readonly string[], ...flags: string[]): Promise<void> {
  const words = [...verb, "--non-interactive", "--cwd", folderOf(program), ...flags];
  return command(["lab/pulumi/pulumi", ...words], { seconds: 300, log: "empty", environment: environmentOf(program) });
}

const upOf = (program: Program, ...flags: string[]) =>
  pulumi(program, ["up", "--yes", "--skip-preview", "--stack", "dev"], ...flags);

const environmentOf = (program: Program) => ({
  PULUMI_CONFIG_PASSPHRASE_FILE: join(state, "passphrase"),
  PULUMI_BACKEND_URL: `file://${join(folderOf(program), "backend")}`,
});

async function makeStack(program: Program): Promise<void> {
  writeProgram(program);
  mkdirSync(join(folderOf(program), "backend"));
  await pulumi(program, ["stack", "init", "dev"]);
  await upOf(program);
}

export async function secondUpFigures(options: StackOptions): Promise<Figure[]> {
  say(`an up without changes, by ${output("lab/engine", ["name"]).trim()}`);
  if (!existsSync(join(state, "passphrase"))) throw new Error("there is no stack in lab/.state");
  for (const program of all) await makeStack(program);
  const times = { tailkube: [] as number[], "empty program": [] as number[], "SDK alone": [] as number[] };
  // The first of each kind reads from the disk what the later ones find in memory.
  await engineUp(options, "--expect-no-changes");
  const { noisy } = await measure(async () => {
    for (let round = 1; round <= rounds; round++) {
      const ours = await measure(() => engineUp(options, "--expect-no-changes"));
      times.tailkube.push(ours.seconds);
      for (const program of all) {
        times[program].push((await measure(() => upOf(program, "--expect-no-changes"))).seconds);
      }
      const latest = Object.entries(times).map(([name, seconds]) => `${name} ${inSeconds(seconds.at(-1)!)}`);
      say(`second up: round ${round} of ${rounds}: ${latest.join(", ")}`);
    }
  });
  const figure = (name: string, program: Program, goal?: number): Figure => ({
    part: "up",
    name,
    value: ratio(times.tailkube, times[program]),
    unit: "ratio",
    goal,
    samples: { tailkube: times.tailkube, [program]: times[program] },
    sampleUnit: "s",
    noisy,
  });
  return [
    figure("an up without changes to an empty program's", "empty program"),
    figure("an up without changes to one of a program that loads Pulumi's SDK alone", "SDK alone", 1.6),
  ];
}
