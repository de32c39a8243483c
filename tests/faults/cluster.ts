/** What the fault tests ask the cluster, and how they wait for it. */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { pauseImage } from "../../components/kubernetes/containerd";
import * as lab from "../lab/lab";
import { type Answer, endpoint, request } from "./api";
import type { Sample } from "./outage";

export const controlPlanes = ["cp1", "cp2", "cp3"] as const;
export type ControlPlane = (typeof controlPlanes)[number];
export const worker = "w1";
export const namespace = "tailkube-faults";

const project = parse(readFileSync(join(lab.root, "Pulumi.dev.yaml"), "utf8")) as {
  config: { "tailkube:kubernetes": { version: string } };
};
/** The one image that every node has. */
export const image = pauseImage(project.config["tailkube:kubernetes"].version);

const addresses = new Map<lab.HostName, string>();

/** Where this machine reaches a host, whatever the tailnet does. */
export function addressOf(host: lab.HostName): string {
  if (!addresses.has(host)) addresses.set(host, lab.output("lab/hosts/hosts", ["ip", host]).trim());
  return addresses.get(host)!;
}

/** A request to one control plane's own API server. */
export function ask(host: ControlPlane, method: string, path: string, body?: unknown): Promise<Answer> {
  return request(addressOf(host), method, path, 5000, body);
}

/** What a control plane's own API server says an object is; throws if it does not answer or does not know it. */
export async function get<T>(host: ControlPlane, path: string): Promise<T> {
  const { status, body } = await ask(host, "GET", path);
  if (status !== 200) throw new Error(`${host}: GET ${path}: ${status} ${body.slice(0, 200)}`);
  return JSON.parse(body) as T;
}

/** The control plane that carries the endpoint's route. */
export function primary(): ControlPlane {
  const name = lab.devices().find((device) => device.primaryRoutes?.includes(`${endpoint}/32`))?.name;
  const found = controlPlanes.find((host) => host === name);
  if (found === undefined) throw new Error(`the endpoint's route is with ${name ?? "nobody"}`);
  return found;
}

/** The control planes but this one. */
export function others(host: ControlPlane): [ControlPlane, ControlPlane] {
  return controlPlanes.filter((other) => other !== host) as [ControlPlane, ControlPlane];
}

/** Waits until nothing is missing; rejects after the bound with what still is. Resolves to the seconds it took. */
export async function eventually(
  what: string,
  missing: () => Promise<string | undefined>,
  seconds: number,
): Promise<number> {
  const start = Date.now();
  for (;;) {
    const found = await Promise.resolve()
      .then(missing)
      .catch((error: Error) => error.message);
    if (found === undefined) return (Date.now() - start) / 1000;
    if (Date.now() - start > seconds * 1000) throw new Error(`${what}: not within ${seconds} s: ${found}`);
    await lab.sleep(0.5);
  }
}

interface Condition {
  type: string;
  status: string;
  lastTransitionTime: string;
}

/** A node's condition Ready, as a control plane's own API server has it. */
export async function readiness(host: ControlPlane, node: string): Promise<Condition> {
  const { status } = await get<{ status: { conditions: Condition[] } }>(host, `/api/v1/nodes/${node}`);
  return status.conditions.find((condition) => condition.type === "Ready")!;
}

/** When a node's kubelet, or a component of the control plane, last renewed its lease; and how often it changed hands. */
export async function lease(host: ControlPlane, leaseNamespace: string, name: string) {
  const { spec } = await get<{ spec: { renewTime: string; holderIdentity: string; leaseTransitions?: number } }>(
    host,
    `/apis/coordination.k8s.io/v1/namespaces/${leaseNamespace}/leases/${name}`,
  );
  return { renewed: Date.parse(spec.renewTime), holder: spec.holderIdentity, transitions: spec.leaseTransitions ?? 0 };
}

/** etcd's view of itself on a control plane: whether it has a leader, and how often it saw that change. */
export function etcd(host: ControlPlane): { leader: boolean; changes: number } {
  const metrics = lab.onHost(host, "curl -s --max-time 5 http://127.0.0.1:2381/metrics | grep ^etcd_server_");
  const value = (name: string) => Number(new RegExp(`^etcd_server_${name} (\\S+)$`, "m").exec(metrics)?.[1]);
  return { leader: value("has_leader") === 1, changes: value("leader_changes_seen_total") };
}

/** What a settled cluster still lacks, in words. */
async function unsettled(): Promise<string | undefined> {
  for (const host of controlPlanes) {
    const { body } = await ask(host, "GET", "/readyz").catch((error: Error) => ({ body: error.message }));
    if (body !== "ok") return `the API server of ${host} says ${body.slice(0, 100)}`;
  }
  for (const host of controlPlanes) {
    if (!etcd(host).leader) return `etcd on ${host} has no leader`;
    if (!lab.hasEndpoint(host)) return `${host} has not the endpoint on its loopback`;
  }
  for (const host of lab.hosts) {
    const { status } = await readiness("cp1", host);
    if (status !== "True") return `${host} is not Ready`;
    // A node stays Ready in the API for a while after it died.
    if ((await lease("cp1", "kube-node-lease", host)).renewed < Date.now() - 20_000)
      return `${host}'s kubelet is silent`;
  }
  for (const name of ["kube-controller-manager", "kube-scheduler"]) {
    if ((await lease("cp1", "kube-system", name)).renewed < Date.now() - 20_000) return `${name} has no leader`;
  }
  interface Pods {
    items: { metadata: { name: string }; status: { conditions?: Condition[] } }[];
  }
  const pods = await get<Pods>("cp1", "/api/v1/namespaces/kube-system/pods");
  const unready = pods.items.find(
    (pod) => !pod.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
  );
  if (unready !== undefined) return `${unready.metadata.name} is not ready`;
  const advertising = lab
    .devices()
    .filter((device) => (device as { advertisedRoutes?: string[] }).advertisedRoutes?.includes(`${endpoint}/32`));
  if (advertising.length !== controlPlanes.length) return `only ${advertising.length} advertise the endpoint`;
  primary();
}

/** Waits until everything is as it is without a fault. */
export async function settle(seconds = 300): Promise<void> {
  await eventually("a cluster at rest", unsettled, seconds);
}

/** The cluster of `make up`, made if it is not there. */
export async function ensureCluster(): Promise<void> {
  if (!lab.hasCluster()) await lab.run("lab/up", [], 60 * 60);
  await settle();
}

/** Makes the namespace of the fault tests anew. */
export async function freshNamespace(through: ControlPlane = "cp1"): Promise<void> {
  await removeNamespace(through);
  const { status, body } = await ask(through, "POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  if (status !== 201) throw new Error(`namespace ${namespace}: ${status} ${body}`);
  // What runs in it needs its service account.
  await eventually(
    "the namespace's service account",
    async () => void (await get(through, `/api/v1/namespaces/${namespace}/serviceaccounts/default`)),
    30,
  );
}

/** Removes the namespace of the fault tests and waits until it is gone. */
export async function removeNamespace(through: ControlPlane = "cp1"): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}`;
  await ask(through, "DELETE", path);
  await eventually(
    "the end of the namespace",
    async () => ((await ask(through, "GET", path)).status === 404 ? undefined : `${namespace} is still there`),
    90,
  );
}

/** Starts a pod on w1 whose image is pulled at its start, and waits until it runs. */
export async function runPod(name: string, of: string): Promise<void> {
  const overrides = JSON.stringify({ spec: { nodeName: "w1", terminationGracePeriodSeconds: 0 } });
  const args = ["-n", namespace, "run", name, `--image=${of}`, "--image-pull-policy=Always", "--restart=Never"];
  const said = lab.kubectl(...args, `--overrides=${overrides}`);
  if (!said.includes("created")) throw new Error(`the pod ${name}: ${said}`);
  const phase = () => lab.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}");
  await lab.until(`the pod ${name}`, () => phase() === "Running", 60);
}

/** One request of client.ts. */
export type Request = Sample & { number: number };

/** A client on a host that asks through the endpoint. */
export interface Client {
  /** Its requests so far; all of them once it is stopped. */
  samples(): Request[];
  /** Ends it, and waits for the requests that are under way. */
  stop(): Promise<void>;
}

const clients = new Set<Client>();

/** Ends the clients that a test left. */
export async function stopClients(): Promise<void> {
  await Promise.all([...clients].map((client) => client.stop()));
}

/** Starts client.ts in a host's network and waits until it has an answer. */
export async function client(host: lab.HostName, mode: "read" | "write"): Promise<Client> {
  const script = join(__dirname, "client.ts");
  // Into a file: a pipe that nobody empties for a while would hold it up.
  const folder = mkdtempSync(join(tmpdir(), "tailkube-faults-"));
  const file = openSync(join(folder, "requests"), "w+");
  // This machine's own node, in the network of the host.
  const child = spawn(
    "nsenter",
    [`--net=/run/netns/tklab-${host}`, process.execPath, "--require", "tsx/cjs", script, mode],
    { cwd: lab.root, stdio: ["pipe", file, "inherit"] },
  );
  const ended = new Promise<void>((resolve, reject) => child.on("error", reject).on("close", () => resolve()));
  ended.catch(() => undefined);
  const samples = () =>
    readFileSync(join(folder, "requests"), "utf8")
      .split("\n")
      // The last line may be half written.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Request);
  let all: Request[] | undefined;
  const started: Client = {
    samples: () => all ?? samples(),
    stop: async () => {
      if (!clients.delete(started)) return;
      child.stdin!.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(timer);
      all = samples();
      closeSync(file);
      rmSync(folder, { recursive: true });
    },
  };
  clients.add(started);
  await eventually(
    `a first answer to ${host}`,
    async () => (samples().some((s) => s.ok) ? undefined : (samples().at(-1)?.error ?? "no request yet")),
    30,
  );
  return started;
}
