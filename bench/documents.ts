/** What plain.sh is given: the program's own documents, so that both ways make the same cluster. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { loadConfig } from "../config/load";
import type { ClusterConfig, HostConfig, NodeConfig } from "../model/config";
import { ciliumValues } from "../components/network/cilium/values";
import { containerdConfig, pauseImage } from "../components/kubernetes/containerd";
import { initConfiguration, joinConfiguration, type NodeDocumentArgs } from "../components/kubernetes/kubeadm";
import { controlPlanes } from "../model/nodes";
import { shellQuote } from "../components/hosts/script-text";
import { root, state } from "../tests/lab/lab";

/** What is known on the host or after `kubeadm init` only; plain.sh puts it in. */
const unknownAddress = "@ADDRESS@";
const unknownCaHash = "@CA_HASH@";
/** Pods' resolv.conf on the lab's hosts. */
const resolvConf = "/etc/resolv.conf";

export const plainDirectory = join(state, "bench", "plain");

/** Reads a stack's file as the engines hand it over. */
function loadStack(file: string) {
  const { config } = parse(readFileSync(file, "utf8")) as { config: Record<string, unknown> };
  const prefix = "tailkube:";
  const values = new Map(Object.entries(config).map(([key, value]) => [key.slice(prefix.length), value]));
  return loadConfig(
    {
      get: (key) => (values.has(key) ? String(values.get(key)) : undefined),
      getObject: (key) => values.get(key),
      keys: () => [...values.keys()],
    },
    (path) => readFileSync(resolve(root, path), "utf8"),
  );
}

/**
 * Writes everything for the cluster of a stack's file. `more`: into the folder of the cluster that is there, for a node that
 * the file has in addition; otherwise the folder is made anew.
 */
export function writeDocuments(stackFile: string, { more = false } = {}): void {
  const { config, secrets } = loadStack(stackFile);
  if (!more) rmSync(plainDirectory, { recursive: true, force: true });
  mkdirSync(join(plainDirectory, "kubeadm"), { recursive: true, mode: 0o700 });
  const write = (name: string, text: string) => writeFileSync(join(plainDirectory, name), text, { mode: 0o600 });
  write("settings", settings(config));
  write("nodes", config.nodes.map(({ name, role, host }) => `${name} ${role} ${labAddress(host)}\n`).join(""));
  write("authkey-worker", secrets.tailnetAuthKey ?? "");
  write("authkey-control-plane", secrets.tailnetControlPlaneAuthKey ?? secrets.tailnetAuthKey ?? "");
  const joinSecrets = {
    token: `${randomBytes(3).toString("hex")}.${randomBytes(8).toString("hex")}`,
    certificateKey: randomBytes(32).toString("hex"),
  };
  write("token", joinSecrets.token);
  const containerd = {
    pauseImage: pauseImage(config.kubernetesVersion),
    restrictOomScoreAdj: config.hostProfile.containerd.restrictOomScoreAdj,
    cniBinDirs: "/opt/cni/bin",
  };
  write("containerd-1.toml", containerdConfig(1, containerd));
  write("containerd-2.toml", containerdConfig(2, containerd));
  write("cilium-values.yaml", stringify(ciliumValues({ config, nodeCount: config.nodes.length })));
  for (const node of config.nodes) {
    const text = node === config.nodes[0] ? initDocument(config, joinSecrets) : joinDocument(config, node, joinSecrets);
    write(join("kubeadm", `${node.name}.yaml`), text);
  }
}

function labAddress(host: HostConfig): string {
  if (host.kind !== "ssh") throw new Error(`the lab has no hosts of kind ${host.kind}`);
  return host.address;
}

function settings(config: ClusterConfig): string {
  const bundle = join(state, "bundle");
  const values = {
    ENDPOINT: config.endpoint.address,
    ENDPOINT_PORT: `${config.endpoint.port}`,
    POD_CIDR: config.podCidr,
    POD_ROUTING: config.podRouting,
    LOGIN_SERVER: config.tailnet.loginServer,
    BUNDLE: config.bundle ?? "",
    CHART: resolve(root, config.cilium.chart ?? ""),
    SSH_KEY: join(state, "ssh", "id_ed25519"),
    KUBECTL: join(bundle, "operator", "kubectl"),
    HELM: join(bundle, "operator", "helm"),
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${shellQuote(value)}\n`)
    .join("");
}

interface PlainSecrets {
  token: string;
  certificateKey: string;
}

function nodeDocument({ name, role, labels, taints }: NodeConfig): NodeDocumentArgs {
  return { name, role, labels, taints, nodeIp: unknownAddress, resolvConf };
}

/** By hand, kubeadm hands the certificates on: `--upload-certs`, under a key that the joiners are told. */
function initDocument(config: ClusterConfig, { token, certificateKey }: PlainSecrets): string {
  const text = initConfiguration({
    ...config,
    security: undefined,
    certSANs: controlPlanes(config.nodes).map(({ host }) => labAddress(host)),
    profile: config.hostProfile,
    resolvConf,
    node: nodeDocument(config.nodes[0]!),
  });
  return edited(text, "InitConfiguration", { bootstrapTokens: [{ token, ttl: "1h0m0s" }], certificateKey });
}

function joinDocument(config: ClusterConfig, node: NodeConfig, { token, certificateKey }: PlainSecrets): string {
  const text = joinConfiguration({
    endpoint: config.endpoint,
    node: nodeDocument(node),
    discovery: { token, caCertHashes: [unknownCaHash] },
    profile: config.hostProfile,
  });
  return node.role === "worker"
    ? text
    : edited(text, "JoinConfiguration", { "controlPlane.certificateKey": certificateKey });
}

/** The documents with further fields, by their paths, in the one of that kind. */
function edited(text: string, kind: string, fields: Record<string, unknown>): string {
  const documents = parseAllDocuments(text);
  for (const document of documents) {
    if (document.get("kind") !== kind) continue;
    for (const [path, value] of Object.entries(fields)) document.setIn(path.split("."), value);
  }
  return documents.map((document) => stringify(document.toJS())).join("---\n");
}
