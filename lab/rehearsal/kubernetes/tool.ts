/** Runs helm and kubectl against the cluster of a provider. */
import { randomBytes } from "crypto";
import { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeSync } from "fs";
import { tmpdir } from "os";
import { join, resolve } from "path";
import { readString } from "../providers/inputs";
import { runProcess } from "../providers/localCommand";
import type { OperationContext } from "../providers/provider";
import type { Props } from "../values";

const BUNDLE = resolve(__dirname, "../../.state/bundle/operator");
const SETPRIV = "/usr/bin/setpriv";
const FIRST_EXTRA_FD = 3;

export interface ToolRun {
  args: string[];
  stdin?: string;
  /** Files to pass: for each the flag that takes its path, and what it holds. */
  files?: { flag: string; content: string }[];
}

export interface ToolResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** helm or kubectl, with the kubeconfig of a provider. */
export class Tool {
  constructor(
    private readonly name: "helm" | "kubectl",
    private readonly provider: Props,
  ) {}

  /** Runs the tool; throws with the end of its standard error when it fails. Returns its standard output. */
  async run(context: OperationContext, run: ToolRun): Promise<string> {
    const result = await this.try(context, run);
    if (context.signal.aborted) throw new Error(`${this.name} ${run.args[0]} was aborted`);
    if (result.code !== 0) {
      const said = result.stderr.trim().split("\n").slice(-20).join("\n");
      throw new Error(`${this.name} ${run.args[0]} ended with exit status ${result.code}:\n${said}`);
    }
    return result.stdout;
  }

  /** Runs the tool, whether it succeeds or not. */
  async try(context: Pick<OperationContext, "signal">, run: ToolRun): Promise<ToolResult> {
    const files = [{ flag: "--kubeconfig", content: kubeconfigOf(this.provider) }, ...(run.files ?? [])];
    const fds = files.map(({ content }) => anonymousFile(content));
    try {
      const paths = files.flatMap(({ flag }, index) => [flag, `/proc/self/fd/${FIRST_EXTRA_FD + index}`]);
      return await runProcess(...mortal(find(this.name), [...run.args, ...paths]), {
        stdin: run.stdin ?? "",
        environment: {},
        onStdout: () => undefined,
        onStderr: () => undefined,
        signal: context.signal,
        fds,
      });
    } finally {
      fds.forEach((fd) => closeSync(fd));
    }
  }
}

/** Runs helm without a cluster. */
export async function helmOffline(args: string[]): Promise<ToolResult> {
  return runProcess(find("helm"), args, {
    stdin: "",
    environment: {},
    onStdout: () => undefined,
    onStderr: () => undefined,
    signal: new AbortController().signal,
  });
}

/** An open file, readable by this user alone, that vanishes with its last reader: secrets outlive no crash. */
function anonymousFile(content: string): number {
  const path = join(tmpdir(), `rehearsal-${randomBytes(8).toString("hex")}`);
  const fd = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  writeSync(fd, content);
  return fd;
}

/** The kubeconfig's text; the provider has it as such or as a path. */
function kubeconfigOf(provider: Props): string {
  const kubeconfig = readString(provider, "kubeconfig");
  if (!kubeconfig) {
    // Falling back to the operator's own kubeconfig would change another cluster than meant.
    throw new Error("the kubernetes provider has no kubeconfig; give the resource a provider that has one");
  }
  return /[\n{]/.test(kubeconfig) ? kubeconfig : readFileSync(kubeconfig, "utf8");
}

/**
 * The program, such that it ends with this process however that ends: a helm that goes on alone would undo what the
 * next run does.
 */
function mortal(program: string, args: string[]): [string, string[]] {
  if (!existsSync(SETPRIV)) return [program, args];
  return [SETPRIV, ["--pdeathsig", "KILL", program, ...args]];
}

/** The tool by TAILKUBE_HELM or TAILKUBE_KUBECTL, in the lab's bundle, or on the PATH. */
function find(name: "helm" | "kubectl"): string {
  const configured = process.env[`TAILKUBE_${name.toUpperCase()}`];
  if (configured) return configured;
  const bundled = join(BUNDLE, name);
  return existsSync(bundled) ? bundled : name;
}
