/** The lab as the bench uses it: its stack's file with changes, hosts that are new, and one that is there. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ownNodes, refreshKubeconfig, useStack } from "../tests/faults/stack";
import { kubectl, output, readyNodes, state } from "../tests/lab/lab";
import { leaves } from "./shape";
import { command, say } from "./shell";

const hosts = ["cp1", "cp2", "cp3", "w1"];
/** The host of the one more worker. */
export const further = "w2";

/** As kubeadm leaves a cluster by itself, which is what the plain script makes. */
const unhardened = {
  secretsEncryption: false,
  auditLog: false,
  anonymousRequests: "all",
  kubeletServingCertificates: false,
  seccompDefault: false,
  podPidsLimit: 0,
  serviceExternalIPs: true,
  eventRateLimit: false,
  profiling: true,
  extendedTokens: true,
};

export interface StackOptions {
  /** Whether `up` ends with the program's checks. */
  checks: boolean;
  /** Whether the further worker belongs to the cluster. */
  more: boolean;
  /** Whether the cluster is hardened, as it is by default. */
  hardened: boolean;
}

/** Makes the lab's stack with these changes the one that is used from now on. Returns its file. */
export function chooseStack({ checks, more, hardened }: StackOptions): string {
  const worker = { name: further, role: "worker", host: { kind: "ssh", address: addressOf(further) } };
  useStack({ checks, ...(!hardened && { security: unhardened }), nodes: [...ownNodes(), ...(more ? [worker] : [])] });
  return process.env.LAB_STACK_CONFIG!;
}

function addressOf(host: string): string {
  const address = output("lab/hosts/hosts", ["ip", host]).trim();
  if (address === "") throw new Error(`the lab has no host ${host}`);
  return address;
}

/** Everything that the hosts of a cluster need is there; a bundle that was built is used again. */
export async function artifacts(): Promise<void> {
  say("artifacts, unless they are in the cache");
  await command(["lab/sources", "build"], { seconds: 7200, log: "artifacts" });
}

/**
 * New hosts, prepared and idle, with a new tailnet, as both ways to a cluster find them. The bundle is in memory: whoever
 * comes first would otherwise read it from the disk for the second one.
 */
export async function newHosts(): Promise<void> {
  await command(["lab/tailnet/tailnet", "down"], { seconds: 60, log: "tailnet" });
  await command(["lab/hosts/hosts", "down"], { seconds: 300, log: "hosts" });
  for (const stack of ["backend", "pulumi", "kubeconfig"]) {
    rmSync(join(state, stack), { recursive: true, force: true });
  }
  await command(["lab/hosts/hosts", "up", ...hosts], { seconds: 600, log: "hosts" });
  await command(["lab/tailnet/tailnet", "up"], { seconds: 600, log: "tailnet" });
  const warm = `cat ${join(state, "bundle")}/*/* >/dev/null 2>&1 || true; sync; sleep 5`;
  await command(["bash", "-c", warm], { seconds: 300, log: "warm" });
}

export async function furtherHost(): Promise<void> {
  await command(["lab/hosts/hosts", "up", further], { seconds: 300, log: "hosts" });
  await command(["bash", "-c", "sync; sleep 5"], { seconds: 300, log: "warm" });
}

export const nodeCount = ({ more }: Pick<StackOptions, "more">) => hosts.length + (more ? 1 : 0);

export function engineUp(options: StackOptions, ...flags: string[]): Promise<void> {
  chooseStack(options);
  return command(["lab/engine", "up", ...flags], { seconds: 1800, log: "engine" });
}

/** What the two ways to a cluster have to have in common, for comparison; throws unless all nodes are Ready. */
export function clusterShape(options: Pick<StackOptions, "more">): string {
  const ready = readyNodes();
  if (ready.length !== nodeCount(options)) {
    throw new Error(`Ready are ${ready.map(({ name }) => name).join(", ") || "no nodes"}, not ${nodeCount(options)}`);
  }
  const of = (kind: string, name: string, path: string) =>
    kubectl("-n", "kube-system", "get", kind, name, "-o", `jsonpath=${path}`);
  const configuration = parse(of("configmap", "kubeadm-config", "{.data.ClusterConfiguration}")) as {
    apiServer?: { certSANs?: unknown };
  };
  // Each control plane's own names: the last one's that joined, or all.
  delete configuration.apiServer?.certSANs;
  const cilium: unknown = JSON.parse(of("configmap", "cilium-config", "{.data}"));
  const lines = [
    ...ready.map(({ name, version }) => `node ${name} ${version}`).sort(),
    ...leaves(configuration).map((leaf) => `kubeadm ${leaf}`),
    ...leaves(cilium).map((leaf) => `cilium ${leaf}`),
    `cilium ready ${of("daemonset", "cilium", "{.status.numberReady}")}`,
    `coredns available ${of("deployment", "coredns", "{.status.availableReplicas}")}`,
  ];
  return lines.join("\n");
}

/** A cluster that the program made, with its checks and the further worker, for what is measured on one that is there. */
export async function someCluster(): Promise<StackOptions> {
  const options = { checks: true, more: true, hardened: true };
  say("a cluster to measure on");
  await artifacts();
  await newHosts();
  await furtherHost();
  await engineUp(options);
  refreshKubeconfig();
  return options;
}

/** All of the lab away, but for what the bench has found out. */
export async function labDown(): Promise<void> {
  await command(["lab/down"], { seconds: 600, log: "down" });
}

export const hasLab = () => existsSync(join(state, "hosts"));
