/** The faults, and how each is undone. What a test leaves undone is undone after it. */
import { execFileSync } from "node:child_process";
import * as lab from "../lab/lab";
import { type ControlPlane, controlPlanes, ensureCluster, get, settle, stopClients } from "./cluster";
import { endpoint } from "./api";

export interface Fault {
  /** When it happened, in milliseconds. */
  at: number;
  /** Takes it back; nothing the second time. */
  undo(): Promise<void>;
}

const standing = new Set<Fault>();

function fault(at: number, undo: () => Promise<void> | void): Fault {
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

/** Pulls a host's network cable. */
export function pullCable(host: lab.HostName): Fault {
  const link = (state: "up" | "down") => execFileSync("ip", ["link", "set", `tklab-${host}`, state]);
  const at = Date.now();
  link("down");
  return fault(at, () => void link("up"));
}

/** Cuts a host's power. */
export async function killHost(host: lab.HostName): Promise<Fault> {
  // Killed processes would close their connections in order, which a host without power does not.
  const { at } = pullCable(host);
  await lab.run("lab/hosts/hosts", ["kill", host], 60);
  // A new boot has a new cable.
  standing.clear();
  return fault(at, () => lab.run("lab/hosts/hosts", ["start", host], 240));
}

/** Reboots a host in order; `undo` waits until it is up. */
export function reboot(host: lab.HostName): Fault {
  const at = Date.now();
  const rebooted = lab.run("lab/hosts/hosts", ["reboot", host], 400);
  // It is awaited later; until then a failure is nobody's.
  rebooted.catch(() => undefined);
  return fault(at, () => rebooted);
}

/**
 * Cuts a control plane off from the others, not from the worker and the tailnet's server. The cut is made within the
 * tunnel: below it the tailnet's relay would find a way round.
 */
export async function partition(host: ControlPlane): Promise<Fault> {
  interface Node {
    metadata: { name: string };
    spec: { podCIDR: string };
    status: { addresses: { type: string; address: string }[] };
  }
  const { items } = await get<{ items: Node[] }>(host, "/api/v1/nodes");
  const theirs = items
    .filter(({ metadata: { name } }) => name !== host && controlPlanes.some((other) => other === name))
    .flatMap(({ spec, status }) => [status.addresses.find(({ type }) => type === "InternalIP")!.address, spec.podCIDR]);
  // The endpoint in the tunnel is another's: a host's own is on its loopback.
  const elements = [...theirs, `${endpoint}/32`].join(", ");
  const at = Date.now();
  command(
    host,
    `nft -f - <<'END'
table inet tailkube_faults {
  set others { type ipv4_addr; flags interval; elements = { ${elements} } }
  chain input { type filter hook input priority -300; iifname tailscale0 ip saddr @others drop; }
  chain forward { type filter hook forward priority -300; ip saddr @others drop; ip daddr @others drop; }
  chain output { type filter hook output priority -300; oifname tailscale0 ip daddr @others drop; }
}
END`,
  );
  return fault(at, () => void command(host, "nft delete table inet tailkube_faults"));
}

/** Loses this share of the packets between all hosts, in percent. */
export async function loss(percent: number): Promise<Fault> {
  const at = Date.now();
  await lab.run("lab/hosts/hosts", ["loss", `${percent}`], 60);
  return fault(at, () => lab.run("lab/hosts/hosts", ["loss", "0"], 60));
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
