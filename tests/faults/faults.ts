/** The faults, and how each is undone. What a test leaves undone is undone after it. */
import { execFileSync } from "node:child_process";
import * as lab from "../lab/lab";
import { type ControlPlane, controlPlanes, ensureCluster, others, settle, stopClients } from "./cluster";

export interface Fault {
  /** When it happened, in milliseconds. */
  at: number;
  /** Takes it back; nothing the second time. */
  undo(): Promise<void>;
}

const standing = new Set<Fault>();

/** A fault that a test has made, and what takes it back. */
export function fault(at: number, undo: () => Promise<void> | void): Fault {
  const one: Fault = {
    at,
    undo: async () => {
      if (!standing.delete(one)) return;
      await undo();
    },
  };
  standing.add(one);
  return one;
}

/** Undoes what still stands, the last first. */
async function undoAll(): Promise<void> {
  const failures: string[] = [];
  for (const one of [...standing].reverse()) await one.undo().catch((error: Error) => failures.push(error.message));
  if (failures.length > 0) throw new Error(`faults that could not be undone: ${failures.join("; ")}`);
}

/**
 * Makes a suite one of faults: it has a cluster at rest before each test, and after each test no client and no fault is
 * left. Its tests do not build on each other.
 */
export function faultSuite(suite: Mocha.Suite): void {
  suite.timeout(90 * 60_000);
  suite.beforeAll(ensureCluster);
  suite.beforeEach(() => settle());
  suite.afterEach(async () => {
    await stopClients();
    await undoAll();
  });
}

/** Runs a script on a host; throws if it fails. */
export function command(host: lab.HostName, script: string, seconds = 60): string {
  return execFileSync("lab/hosts/hosts", ["exec", host, "bash", "-euc", script], {
    cwd: lab.root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    // A snapshot of etcd in base64 comes this way.
    maxBuffer: 1 << 28,
    timeout: seconds * 1000,
  });
}

const manifests = "/etc/kubernetes/manifests";

/** Kills a control plane's API server, and keeps the kubelet from starting it again. All else on the host goes on. */
export function stopApiServer(host: ControlPlane): Fault {
  // The kubelet takes the moved manifest for the end of the pod; it must not end it in peace before the kill.
  const at = command(
    host,
    `mv ${manifests}/kube-apiserver.yaml /etc/kubernetes/; date +%s%3N; pkill -KILL -x kube-apiserver`,
  );
  return fault(Number(at), () => {
    // With an identity of its own each time: the kubelet would hold back a pod that it saw fail a moment ago.
    command(
      host,
      `cd /etc/kubernetes
      sed -i '/tailkube.dev.fault:/d; s#^  annotations:#&\\n    tailkube.dev/fault: "'"$(date +%s)"'"#' kube-apiserver.yaml
      mv kube-apiserver.yaml ${manifests}/`,
    );
  });
}

/** Runs a command of the lab's hosts to its end, without its progress; throws if it fails. */
function hosts(...args: string[]): void {
  execFileSync("lab/hosts/hosts", args, { cwd: lab.root, stdio: ["ignore", "ignore", "inherit"], timeout: 300_000 });
}

/** Stops an API server's process, which keeps its connections and answers nothing, until `undo`. */
export function freezeApiServer(host: ControlPlane): Fault {
  const at = command(host, "date +%s%3N; pkill -STOP -x kube-apiserver");
  return fault(Number(at), () => void command(host, "pkill -CONT -x kube-apiserver"));
}

/** Pulls a host's network cable. */
export function pullCable(host: lab.HostName): Fault {
  const at = Date.now();
  hosts("cable", host, "out");
  return fault(at, () => hosts("cable", host, "in"));
}

/** Cuts a host's power; `undo` boots it and waits until it is up. */
export function killHost(host: lab.HostName): Fault {
  // Killed processes would close their connections in order, which a host without power does not.
  const cable = pullCable(host);
  hosts("kill", host);
  return fault(cable.at, async () => {
    await cable.undo();
    await lab.run("lab/hosts/hosts", ["start", host], 240);
  });
}

/** Reboots a host in order; `undo` waits until it is up. */
export function reboot(host: lab.HostName): Fault {
  const at = Date.now();
  const rebooted = lab.run("lab/hosts/hosts", ["reboot", host], 400);
  // It is awaited later; until then a failure is nobody's.
  rebooted.catch(() => undefined);
  return fault(at, () => rebooted);
}

/** Cuts a control plane off from the others, also by the relay; not from the worker and the tailnet's server. */
export function partition(host: ControlPlane): Fault {
  const at = Date.now();
  hosts("partition", host, "from", ...others(host), "relay");
  return fault(at, () => hosts("partition", host, "off"));
}

/** Loses this share of the packets between all hosts, in percent. */
export function loss(percent: number): Fault {
  const at = Date.now();
  hosts("loss", `${percent}`);
  return fault(at, () => hosts("loss", "off"));
}

/**
 * Delays what every host receives, in milliseconds; where the kernel has no netem, by the lab's own means. Undefined where
 * the kernel has not even what these need.
 */
export function delay(milliseconds: number, jitter: number): Fault | undefined {
  const at = Date.now();
  try {
    hosts("delay", `${milliseconds}`, `${jitter}`);
  } catch (error) {
    if ((error as { status?: number }).status === 3) return undefined;
    throw error;
  }
  return fault(at, () => hosts("delay", "off"));
}

/**
 * The endpoint as it is set up by hand: the address on every control plane's loopback and its route advertised by each,
 * and nobody who watches.
 */
export async function plainRecipe(): Promise<Fault> {
  for (const host of controlPlanes) {
    command(host, "systemctl stop tailkube-endpoint && /usr/local/lib/tailkube/endpoint up");
  }
  return fault(Date.now(), () => {
    for (const host of controlPlanes) command(host, "systemctl start tailkube-endpoint");
  });
}
