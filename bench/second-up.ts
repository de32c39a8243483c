/** Part "up": an `up` that has nothing to do, beside that of a program that declares nothing, by the same engine. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { output, root, state } from "../tests/lab/lab";
import { type Figure, ratio } from "./figures";
import { engineUp, type StackOptions } from "./lab";
import { measure } from "./machine";
import { command, inSeconds, say, scratch } from "./shell";

const rounds = 5;
const folder = join(scratch, "empty");

/** A program that declares nothing, run as the program is. Node.js finds the packages in the folders above. */
function writeEmptyProgram(): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { runtime } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8")) as { runtime: unknown };
  const files = {
    "Pulumi.yaml": stringify({ name: "empty", runtime }),
    "Pulumi.dev.yaml": "config: {}\n",
    "package.json": '{ "name": "empty", "main": "index.ts" }\n',
    "tsconfig.json": JSON.stringify({ extends: join(root, "tsconfig.json"), include: ["index.ts"] }),
    "index.ts": "export {};\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

/** The engine of lab/engine, on another program, with the same settings. */
function emptyUp(...flags: string[]): Promise<void> {
  const common = ["--yes", "--skip-preview", "--stack", "dev", "--cwd", folder, ...flags];
  const isRehearsal = engine() === "rehearsal";
  return command(
    isRehearsal
      ? ["lab/rehearsal/rehearse", "up", ...common, "--state", join(folder, "state")]
      : ["pulumi", "up", "--non-interactive", ...common],
    { seconds: 300, log: "empty", environment: engineEnvironment },
  );
}

const engine = () => output("lab/engine", ["name"]).trim();

const engineEnvironment = {
  PULUMI_CONFIG_PASSPHRASE_FILE: join(state, "passphrase"),
  PULUMI_BACKEND_URL: `file://${join(folder, "backend")}`,
  PULUMI_SKIP_UPDATE_CHECK: "true",
};

async function makeEmptyStack(): Promise<void> {
  writeEmptyProgram();
  if (engine() !== "rehearsal") {
    mkdirSync(join(folder, "backend"));
    const init = ["stack", "init", "dev", "--non-interactive", "--cwd", folder] as const;
    await command(["pulumi", ...init], { seconds: 120, log: "empty", environment: engineEnvironment });
  }
  await emptyUp();
}

export async function secondUpFigures(options: StackOptions): Promise<Figure[]> {
  say(`an up without changes, by ${engine()}`);
  if (!existsSync(join(state, "passphrase"))) throw new Error("there is no stack in lab/.state");
  await makeEmptyStack();
  const times = { tailkube: [] as number[], "empty program": [] as number[] };
  // The first of each kind reads from the disk what the later ones find in memory.
  await engineUp(options, "--expect-no-changes");
  const { noisy } = await measure(async () => {
    for (let round = 1; round <= rounds; round++) {
      const ours = await measure(() => engineUp(options, "--expect-no-changes"));
      const empty = await measure(() => emptyUp("--expect-no-changes"));
      times.tailkube.push(ours.seconds);
      times["empty program"].push(empty.seconds);
      say(
        `second up: round ${round} of ${rounds}: ${inSeconds(ours.seconds)}, empty program ${inSeconds(empty.seconds)}`,
      );
    }
  });
  return [
    {
      part: "up",
      name: "an up without changes to an empty program's",
      value: ratio(times.tailkube, times["empty program"]),
      unit: "ratio",
      goal: 2,
      samples: times,
      sampleUnit: "s",
      noisy,
    },
  ];
}
