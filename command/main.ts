/** The command `tailkube`. What only one of its commands needs is loaded by that one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packageFolder } from "../components/hosts/script-text";
import { exitCodes, Failure, usageFailure } from "./failure";
import type { StackOptions } from "./stack";
import { usage } from "./usage";

const options = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  stack: { type: "string" },
  cwd: { type: "string" },
  access: { type: "string" },
  json: { type: "boolean" },
  merge: { type: "boolean" },
  use: { type: "boolean" },
  direct: { type: "boolean" },
  name: { type: "string" },
  output: { type: "string" },
  "config-file": { type: "string" },
} as const;

type Values = ReturnType<typeof parse>["values"];

interface Command {
  /** Its options beside those of all commands. */
  options: readonly (keyof Values)[];
  /** How many words it takes. */
  words: readonly [least: number, most: number];
  run(words: string[], values: Values, stack: StackOptions): Promise<number>;
}

const ofAll = ["stack", "cwd", "access"] as const;

const commands: Readonly<Record<string, Command>> = {
  status: {
    options: ["json"],
    words: [0, 0],
    run: async (_, { json = false }, stack) => (await import("./status/status")).status(await access(stack), { json }),
  },
  kubeconfig: {
    options: ["merge", "use", "direct", "name"],
    words: [0, 0],
    run: async (_, { merge = false, use = false, direct = false, name }, stack) => {
      if (use && !merge) throw usageFailure("--use needs --merge.");
      const { kubeconfig } = await import("./kubeconfig/kubeconfig");
      return kubeconfig(await access(stack), { merge, use, direct, name });
    },
  },
  ssh: {
    options: [],
    words: [1, Infinity],
    run: async ([node, ...words], _, stack) => {
      const { nodeNamed } = await import("./stack");
      return (await import("./ssh")).ssh(nodeNamed(await access(stack), node!), words);
    },
  },
  checks: {
    options: [],
    words: [0, Infinity],
    run: async (words, _, stack) => (await import("./checks")).checks(await access(stack), words),
  },
  support: {
    options: ["output", "config-file"],
    words: [0, 0],
    run: async (_, { output, "config-file": configFile }, stack) => {
      const { readConfigSecrets } = await import("./stack");
      const [cluster, configSecrets] = [await access(stack), await readConfigSecrets(stack, configFile)];
      return (await import("./support/support")).support(cluster, { output, configSecrets });
    },
  },
  "etcd snapshot": {
    options: [],
    words: [0, 1],
    run: async ([file], _, stack) => (await import("./etcd")).etcdSnapshot(await access(stack), file),
  },
  "etcd list": {
    options: ["json"],
    words: [0, 0],
    run: async (_, { json = false }, stack) => (await import("./etcd")).etcdList(await access(stack), { json }),
  },
};

const access = async (stack: StackOptions) => (await import("./stack")).readAccess(stack);

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw usageFailure(`${(error as Error).message.split(". ")[0]!}.`);
  }
}

/** The command of the first words, and the others. */
function commandOf(positionals: readonly string[]): { name: string; words: string[] } {
  const [first = "", second = ""] = positionals;
  const name = first === "etcd" ? `etcd ${second}` : first;
  if (!Object.hasOwn(commands, name)) {
    throw usageFailure(
      first === "etcd" && second === "restore"
        ? "a restore is a run of pulumi up with tailkube:kubernetes.restoreSnapshot: docs/operate/disaster.md."
        : `unknown command ${JSON.stringify(name.trim())}. Allowed: ${Object.keys(commands).join(", ")}.`,
    );
  }
  return { name, words: positionals.slice(name.split(" ").length) };
}

/** Resolves to the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help === true || (positionals.length === 0 && values.version !== true)) {
    (values.help === true ? process.stdout : process.stderr).write(usage);
    return values.help === true ? exitCodes.ok : exitCodes.usage;
  }
  if (values.version === true) {
    const manifest = readFileSync(join(packageFolder, "package.json"), "utf8");
    process.stdout.write(`${(JSON.parse(manifest) as { version: string }).version}\n`);
    return exitCodes.ok;
  }
  const { name, words } = commandOf(positionals);
  const command = commands[name]!;
  const allowed: readonly string[] = [...ofAll, ...command.options];
  const wrong = Object.keys(values).find((option) => !allowed.includes(option));
  if (wrong !== undefined) throw usageFailure(`--${wrong} is not an option of tailkube ${name}.`);
  const [least, most] = command.words;
  if (words.length < least) throw usageFailure(`tailkube ${name} needs the name of a node.`);
  if (words.length > most) throw usageFailure(`tailkube ${name} does not take ${JSON.stringify(words[most])}.`);
  const { stack, cwd, access: output = "access" } = values;
  return command.run(words, values, { stack, cwd, output });
}

/** Runs it as a program. */
export async function run(args: readonly string[]): Promise<void> {
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    process.stderr.write(`tailkube: ${error.message}\n`);
    process.exitCode = error.code;
  }
}
