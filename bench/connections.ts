/** Which connections to hosts a first `up` opens, counted from what the program asks the engine for. */
import type { Registered } from "../tests/preview/program";

/** A node as the config has it; `address` is where its host is reached. */
export interface GeneratedNode {
  name: string;
  role: "control-plane" | "worker";
  host: { address: string };
}

/** Three control planes and workers, as many nodes as wanted, of names and addresses of their own. */
export function nodesOf(count: number): GeneratedNode[] {
  return Array.from({ length: count }, (_, i) => ({
    name: i < 3 ? `cp${i + 1}` : `w${i - 2}`,
    role: i < 3 ? "control-plane" : "worker",
    host: { address: `192.0.2.${i + 1}` },
  }));
}

export interface Connections {
  /** SSH connections to all hosts. */
  total: number;
  /** Of these, those to the host that gets most. */
  busiest: number;
  /** Commands on the operator's machine that a first `up` runs: scans of host keys. */
  keyScans: number;
}

/**
 * The command provider opens one SSH connection for each remote command that has a `create`, and one for each copy. Without
 * a `create` nothing is run until something changes.
 */
export function countConnections(resources: readonly Registered[], nodes: readonly GeneratedNode[]): Connections {
  const has = (resource: Registered, key: string) => resource.inputs[key] !== undefined;
  const remote = resources.filter(
    (resource) =>
      (resource.type === "command:remote:Command" && has(resource, "create")) ||
      resource.type === "command:remote:CopyToRemote" ||
      resource.type === "command:remote:CopyFile",
  );
  const perHost = nodes.map(({ host }) => remote.filter((resource) => hostOf(resource) === host.address).length);
  // Under a host's guard: before the stage, for it, and after it; one more for every 10 s that it takes.
  const guarded = resources.filter((resource) => guardedHost(resource) !== undefined);
  const sum = perHost.reduce((a, b) => a + b, 0);
  if (sum !== remote.length) {
    throw new Error(`${remote.length - sum} of ${remote.length} remote commands are for no host of the config`);
  }
  const ofHost = nodes.map(
    ({ host }, i) => perHost[i]! + 3 * guarded.filter((resource) => guardedHost(resource) === host.address).length,
  );
  const keyScans = resources.filter(
    (resource) =>
      resource.type === "command:local:Command" && has(resource, "create") && guardedHost(resource) === undefined,
  ).length;
  return { total: ofHost.reduce((a, b) => a + b, 0), busiest: Math.max(...ofHost), keyScans };
}

/** The host of a stage that runs by OpenSSH from the operator's machine. */
function guardedHost({ type, inputs }: Registered): unknown {
  if (type !== "command:local:Command" || inputs.create === undefined) return undefined;
  const { TAILKUBE_HOST, TAILKUBE_COMMAND } = (inputs.environment ?? {}) as Record<string, unknown>;
  // The first contact runs nothing on the host.
  return TAILKUBE_COMMAND === undefined ? undefined : TAILKUBE_HOST;
}

function hostOf(resource: Registered): unknown {
  return (resource.inputs.connection as { host?: unknown } | undefined)?.host;
}
