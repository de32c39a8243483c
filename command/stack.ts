/** What the command knows of the cluster: an output of the stack, read by the Pulumi CLI. It stays in memory. */
import { spawn } from "node:child_process";
import type { AccessOutput, NodeAccess } from "../model/outputs";
import { exitCodes, Failure } from "./failure";

export interface StackOptions {
  /** The selected one if undefined. */
  stack?: string | undefined;
  /** Folder of Pulumi.yaml. */
  cwd?: string | undefined;
  /** Name of the output. */
  output: string;
}

/** A node, and what stdin begins with on the way to it. */
export interface Node extends Omit<NodeAccess, "login"> {
  login: string;
}

export interface ClusterAccess extends Omit<AccessOutput, "nodes" | "logins"> {
  nodes: Node[];
}

/** The stack's output; fails with exit code 3 if it cannot be read. */
export async function readAccess(options: StackOptions): Promise<ClusterAccess> {
  return accessFrom(
    JSON.parse(await pulumi(["stack", "output", "--json", "--show-secrets"], options)) as Record<string, unknown>,
    options.output,
  );
}

/** The secrets of the stack's config, for what must not contain them: values by key. */
export async function readConfigSecrets(options: StackOptions, configFile?: string): Promise<string[]> {
  const file = configFile === undefined ? [] : ["--config-file", configFile];
  const text = await pulumi(["config", "--json", "--show-secrets", ...file], options);
  const all = JSON.parse(text) as Record<string, { value?: string; objectValue?: unknown; secret?: boolean }>;
  return Object.values(all)
    .filter(({ secret }) => secret === true)
    .flatMap(({ value, objectValue }) => (objectValue === undefined ? [value ?? ""] : leaves(objectValue)))
    .filter((value) => value !== "");
}

/** A config object with a secret somewhere in it: its long texts. */
function leaves(value: unknown): string[] {
  if (typeof value === "string") return value.length >= 12 ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : [];
}

/** @param outputs of the stack, secrets included. */
export function accessFrom(outputs: Record<string, unknown>, name: string): ClusterAccess {
  const access = outputs[name] as AccessOutput | undefined;
  if (access === undefined) {
    const why =
      Object.keys(outputs).length === 0
        ? "no pulumi up has been completed in this stack. Run pulumi up until it succeeds"
        : `the stack has no output ${name}. Run pulumi up once with this version of tailkube: it adds the output and changes nothing else. ` +
          `In a program of your own, export it (export const ${name} = cluster.access), or name it with --access`;
    throw new Failure(why, exitCodes.notAsked);
  }
  if (!Array.isArray(access.nodes) || !Array.isArray(access.logins)) {
    throw new Failure(
      `the output ${name} is not a cluster's access. Export cluster.access, or name another output with --access`,
      exitCodes.notAsked,
    );
  }
  const { logins, nodes, ...rest } = access;
  return { ...rest, nodes: nodes.map((node) => ({ ...node, login: logins[node.login] ?? "" })) };
}

/** The node of that name; fails with exit code 2 if there is none. */
export function nodeNamed({ nodes }: Pick<ClusterAccess, "nodes">, name: string): Node {
  const found = nodes.find((node) => node.name === name);
  if (found !== undefined) return found;
  const names = nodes.map((node) => node.name).join(", ");
  throw new Failure(`unknown node ${name}. Allowed: ${names}`, exitCodes.usage);
}

/** What the Pulumi CLI prints. It may ask for the passphrase at the terminal. */
function pulumi(args: readonly string[], { stack, cwd }: StackOptions): Promise<string> {
  const all = [...args, ...(stack === undefined ? [] : ["--stack", stack])];
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Failure(why, exitCodes.notAsked));
    const child = spawn("pulumi", all, {
      cwd: cwd ?? process.cwd(),
      stdio: ["inherit", "pipe", "pipe"],
      env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
    });
    const stdout: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => stdout.push(data));
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.on("error", (error: NodeJS.ErrnoException) =>
      fail(
        error.code === "ENOENT"
          ? "the Pulumi CLI (pulumi) is not in PATH, or the folder of --cwd does not exist. Install the CLI: https://www.pulumi.com/docs/install/"
          : `the Pulumi CLI cannot be started: ${error.message}`,
      ),
    );
    child.on("close", (code) => {
      if (code === 0) resolve(Buffer.concat(stdout).toString());
      else {
        const lines = stderr.trim().split("\n");
        fail(
          `pulumi ${all.slice(0, 2).join(" ")} failed: ${lines.at(-1)?.replace(/^error: /, "") ?? ""}. Run in the folder of Pulumi.yaml, or use --cwd and --stack`,
        );
      }
    });
  });
}
