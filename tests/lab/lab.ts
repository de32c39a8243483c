/** What the lab tests do with the lab: its commands, its hosts and its cluster. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { killSession, processesOf } from "./processes";

export const root = join(__dirname, "..", "..");
export const state = join(root, "lab", ".state");
export const hosts = ["cp1", "cp2", "cp3", "w1"] as const;
export type HostName = (typeof hosts)[number];

/**
 * Runs a command of the project with its output on the terminal. Rejects if it fails or outlasts the bound (seconds); the
 * error repeats what the command complained of at its end.
 */
export function run(command: string, args: readonly string[], seconds: number): Promise<void> {
  const running = start(command, args);
  const timer = setTimeout(() => killSession(running.child.pid!), seconds * 1000);
  return running.exit.then(async (how) => {
    clearTimeout(timer);
    if (how !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${how}${await running.complaints()}`);
  });
}

export interface Running {
  child: ChildProcess;
  /** The exit status, or the name of the signal that ended it; rejects if the command cannot be started. */
  exit: Promise<number | NodeJS.Signals>;
  ended: () => boolean;
  /** All that it has printed so far. */
  text: () => string;
  /** When nothing can print any more: what it left running may hold that up for good. */
  closed: Promise<void>;
  /** What it complained of at its end, each line after a line break; waits for its last words. */
  complaints: () => Promise<string>;
}

/** Starts a command in the project's folder, in a session of its own, with its output on the terminal. */
export function start(command: string, args: readonly string[]): Running {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let text = "";
  const pass = (from: Readable, to: NodeJS.WriteStream) =>
    from.setEncoding("utf8").on("data", (chunk: string) => {
      to.write(chunk);
      text += chunk;
    });
  pass(child.stdout, process.stdout);
  pass(child.stderr, process.stderr);
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  let ended = false;
  const exit = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      ended = true;
      resolve(code ?? signal!);
    });
  });
  return {
    child,
    exit,
    ended: () => ended,
    text: () => text,
    closed,
    complaints: async () => {
      await Promise.race([closed, sleep(2)]);
      return complaintsIn(text.slice(-20_000));
    },
  };
}

/**
 * New hosts, a tailnet and what they install from, without a cluster; all of the lab's hosts if none is named. From the bundle no
 * packages are left on them after a destroy.
 */
export async function bareHosts(names: readonly string[] = [], sources?: "bundle"): Promise<void> {
  await run("lab/down", [], 300);
  const { TAILKUBE_SOURCES: former } = process.env;
  if (sources !== undefined) process.env.TAILKUBE_SOURCES = sources;
  await run("lab/up", ["--bare", ...names], 2 * 60 * 60).finally(() => {
    if (former === undefined) delete process.env.TAILKUBE_SOURCES;
    else process.env.TAILKUBE_SOURCES = former;
  });
}

/** The last lines of a run that complain; if none does, its last ones. */
function complaintsIn(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  // A line of progress has a sign and a type before a resource's name.
  const complaining = lines.filter((line) => /error|fail/i.test(line) && !/^ *[-+~@]+ +[\w:]+:\w/.test(line));
  return (complaining.length > 0 ? complaining.slice(-12) : lines.slice(-3))
    .map((line) => `\n  ${line.trim()}`)
    .join("");
}

/**
 * Starts a run of the engine and kills it, with all its processes, as soon as the condition holds. With `stop` the CLI alone is
 * stopped first, as soon as that script on cp1 has ended well: what its plugins do goes on, and the CLI learns of no result.
 */
export async function killUpWhen(
  what: string,
  condition: () => boolean,
  seconds: number,
  stop?: string,
): Promise<void> {
  const up = start("lab/engine", ["up"]);
  const { child } = up;
  let asking: ReturnType<typeof spawn> | undefined;
  // One that fails is begun again.
  const stopWhenItEnds = () => {
    asking = spawn(join(root, "lab/hosts/hosts"), ["exec", "cp1", "bash", "-c", `sleep 0.2; ${stop}`], {
      stdio: "ignore",
    });
    asking.on("exit", (code) => {
      const cli = processesOf(child.pid!).filter(({ command }) => /\/pulumi up /.test(command));
      if (code === 0) for (const { pid } of cli) process.kill(pid, "SIGSTOP");
      else if (!up.ended()) stopWhenItEnds();
    });
  };
  const exit = up.exit.finally(() => asking?.kill());
  if (stop !== undefined) stopWhenItEnds();
  for (const end = Date.now() + seconds * 1000; ; await sleep(0.2)) {
    if (up.ended())
      throw new Error(
        `the run ended with ${await exit} before it could be killed in the middle of ${what}${await up.complaints()}`,
      );
    if (holds(condition) === true) break;
    if (Date.now() > end) {
      killSession(child.pid!);
      throw new Error(`the run did not get to ${what} within ${seconds} s`);
    }
  }
  killSession(child.pid!);
  await exit;
  console.log(`      killed in the middle of ${what}`);
}

/** What a command prints; throws if it fails: no answer is not an empty one. */
export function output(command: string, args: readonly string[]): string {
  return execFileSync(join(root, command), args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 28,
    timeout: 120_000,
  });
}

/** Whether this machine logs in to a host by SSH. */
export function answersSsh(host: HostName): boolean {
  const address = output("lab/hosts/hosts", ["ip", host]).trim();
  const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5", "LogLevel=ERROR"];
  try {
    execFileSync(
      "ssh",
      ["-i", join(state, "ssh/id_ed25519"), ...options.flatMap((option) => ["-o", option]), `root@${address}`, "true"],
      { timeout: 15_000, stdio: "ignore" },
    );
    return true;
  } catch {
    return false;
  }
}

const scriptEnded = "\nthe script ended";

/** What a shell script prints on a host, however the script ends; throws if the host does not answer. */
export function onHost(host: HostName, script: string): string {
  const text = output("lab/hosts/hosts", ["exec", host, "bash", "-c", `(\n${script}\n)\nprintf '${scriptEnded}'`]);
  if (!text.endsWith(scriptEnded)) throw new Error(`${host} did not come to the end of: ${script}`);
  return text.slice(0, -scriptEnded.length);
}

/** Runs a shell script on a host that has to end well; throws if it does not. Returns what it prints. */
export const okOnHost = (host: HostName, script: string) =>
  output("lab/hosts/hosts", ["exec", host, "bash", "-c", script]);

/** Restarts what manages a host's network: with ifupdown its unit, which takes the interfaces down and up. Throws if nothing does. */
export function restartNetworkManager(host: HostName): void {
  const units = "systemd-networkd NetworkManager networking";
  const restarted = onHost(
    host,
    `for unit in ${units}; do if systemctl is-active --quiet $unit; then systemctl restart $unit && echo $unit; fi; done`,
  );
  if (restarted === "") throw new Error(`no network manager was restarted on ${host}: none of ${units}`);
}

/** Those of the paths that are there on a host. Paths may have wildcards. */
export const existing = (host: HostName, ...paths: string[]) =>
  onHost(host, `for path in ${paths.join(" ")}; do [ ! -e "$path" ] || echo "$path"; done`)
    .split("\n")
    .filter(Boolean);

interface Deployment {
  resources: { urn: string; inputs: { stdin?: string } }[];
  pending_operations?: { resource: { urn: string } }[];
}

/** The stack's state. */
const deployment = () => (JSON.parse(output("lab/engine", ["export"])) as { deployment: Deployment }).deployment;

/** The URNs of what the last run had begun and not recorded as done. */
export const pendingOperations = () => (deployment().pending_operations ?? []).map(({ resource }) => resource.urn);

/** Writes a file on a host, for root alone. */
export function writeOnHost(host: HostName, path: string, content: Buffer): void {
  execFileSync("lab/hosts/hosts", ["exec", host, "bash", "-c", `umask 077; cat >${path}`], {
    cwd: root,
    input: content,
  });
}

/**
 * The longest time, in milliseconds, that the API did not answer at the endpoint as seen from a host, or from the machine itself, while
 * it was asked without a pause for that many seconds.
 *
 * @param patience seconds for an answer.
 */
export function longestOutage(
  from: HostName | "the machine",
  seconds: number,
  { endpoint = "10.200.0.1", patience = 1 } = {},
): Promise<number> {
  const script = `last=$(date +%s%3N) worst=0 end=$((SECONDS + ${seconds}))
    while [ "$SECONDS" -lt "$end" ]; do
      answer=$(curl -sk --max-time ${patience} --noproxy '*' https://${endpoint}:6443/readyz)
      now=$(date +%s%3N)
      [ $((now - last)) -le "$worst" ] || worst=$((now - last))
      [ "$answer" != ok ] || last=$now
      sleep 0.05
    done
    echo "$worst"`;
  return new Promise((resolve, reject) => {
    const [command, ...words] = from === "the machine" ? ["env"] : [join(root, "lab/hosts/hosts"), "exec", from];
    const child = spawn(command, [...words, "bash", "-c", script], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (data: Buffer) => (text += data.toString()));
    child.on("error", reject);
    child.on("exit", () => (/^\d+\s*$/.test(text) ? resolve(Number(text)) : reject(new Error(`${from} said ${text}`))));
  });
}

/** What kubectl prints; throws if it fails or the API does not answer. */
export function kubectl(...args: string[]): string {
  return output("lab/.state/kubectl", ["--kubeconfig", join(state, "kubeconfig"), "--request-timeout=10s", ...args]);
}

/** Applies objects, as JSON or YAML; throws if the API does not take them. */
export function apply(manifest: string): void {
  execFileSync(
    join(state, "kubectl"),
    ["--kubeconfig", join(state, "kubeconfig"), "--request-timeout=20s", "apply", "-f", "-"],
    {
      input: manifest,
      timeout: 60_000,
    },
  );
}

export interface Device {
  id: string;
  name: string;
  tags: string[];
  advertisedRoutes: string[];
  /** Those of the advertised routes that the tailnet's policy approves. */
  approvedRoutes: string[];
  /** The routes that the tailnet sends to this device at the moment. */
  primaryRoutes: string[] | null;
}

export function devices(): Device[] {
  return JSON.parse(output("lab/tailnet/tailnet", ["devices"])) as Device[];
}

/** Logins by SSH that a host's journal knows of. */
export function logins(host: HostName): number {
  return Number(onHost(host, "journalctl --no-pager -o cat -t sshd -t sshd-session | grep -c '^Accepted ' || true"));
}

/** Whether the host has the API endpoint on its loopback. */
export function hasEndpoint(host: HostName): boolean {
  return onHost(host, "ip -o -4 address show dev lo").includes("10.200.0.1/32");
}

export const sleep = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));

/** Whether the condition holds, or why it could not be asked. */
function holds(condition: () => boolean): boolean | Error {
  try {
    return condition();
  } catch (error) {
    return error as Error;
  }
}

/**
 * Waits until the condition holds; one that throws is asked again. Rejects after the bound with what it waited for and why the last
 * question had no answer. Resolves to the seconds it took.
 */
export async function until(what: string, condition: () => boolean, seconds: number): Promise<number> {
  for (const start = Date.now(); ; await sleep(1)) {
    const answer = holds(condition);
    if (answer === true) return Math.round((Date.now() - start) / 1000);
    if (Date.now() - start > seconds * 1000)
      throw new Error(`${what}: not within ${seconds} s${answer === false ? "" : `: ${answer.message}`}`);
  }
}

/** Whether a workload of kube-system is all there, at its newest; not if the API does not say so within 5 s. */
export const isRolledOut = (workload: string) =>
  holds(() => kubectl("-n", "kube-system", "rollout", "status", workload, "--timeout=5s") !== "") === true;

/** Whether the cluster of `make up` is there. Without an answer it is not: `lab/up` finds out what is missing. */
export const hasCluster = () => read("kubeconfig") !== "" && holds(() => readyNodes().length === hosts.length) === true;

/** The nodes that are Ready, with their INTERNAL-IPs and kubelet versions. */
export function readyNodes(): { name: string; address: string; version: string }[] {
  interface Node {
    metadata: { name: string };
    status: {
      addresses: { type: string; address: string }[];
      conditions: { type: string; status: string }[];
      nodeInfo: { kubeletVersion: string };
    };
  }
  return (JSON.parse(kubectl("get", "nodes", "-o", "json")) as { items: Node[] }).items
    .filter((node) => node.status.conditions.some((c) => c.type === "Ready" && c.status === "True"))
    .map((node) => ({
      name: node.metadata.name,
      address: node.status.addresses.find((a) => a.type === "InternalIP")?.address ?? "",
      version: node.status.nodeInfo.kubeletVersion,
    }));
}

/** Their names, sorted. */
export const readyNames = () =>
  readyNodes()
    .map(({ name }) => name)
    .sort();

/** The nodes whose kubelets have renewed their leases since then: a node stays Ready in the API for a while after it died. */
export function nodesAliveSince(time: number): string[] {
  const leases = kubectl("-n", "kube-node-lease", "get", "leases", "-o", "json");
  return (JSON.parse(leases) as { items: { metadata: { name: string }; spec: { renewTime: string } }[] }).items
    .filter((lease) => Date.parse(lease.spec.renewTime) > time)
    .map((lease) => lease.metadata.name);
}

/**
 * Runs the program's own checks of the cluster once more, as the state has them, within that many seconds. Returns what they print;
 * throws if they fail.
 */
export function repeatChecks(seconds = 600): string {
  const stdin = deployment().resources.find((resource) => resource.urn.endsWith("::cluster-checks"))?.inputs.stdin;
  if (stdin === undefined) throw new Error("the state has no checks");
  return execFileSync(join(root, "lab/hosts/hosts"), ["exec", "cp1", "bash", "-s", "--", "apply"], {
    cwd: root,
    input: stdin,
    encoding: "utf8",
    timeout: seconds * 1000,
  });
}

/** The command checks on a control plane, within that many seconds: its exit status and what it prints. */
export function checksCommand(host: HostName, args: string[] = [], seconds = 600) {
  const { status, stdout, stderr } = spawnSync(
    join(root, "lab/hosts/hosts"),
    ["exec", host, "/usr/local/lib/tailkube/checks", ...args],
    { cwd: root, encoding: "utf8", timeout: seconds * 1000 },
  );
  return { status, stdout, stderr };
}

export function read(path: string): string {
  const file = join(state, path);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
