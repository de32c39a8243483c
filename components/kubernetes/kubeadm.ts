/**
 * kubeadm's documents (kubeadm.k8s.io/v1beta4) as YAML. The same arguments give the same text, so that a changed text means
 * a changed intent.
 */
import { Document, parse, visit } from "yaml";
import type { HostProfile, MirrorsConfig, Role, SecurityConfig, Taint } from "../../model/config";
import { merge } from "../../model/merge";
import {
  apiServerHardening,
  controllerManagerHardening,
  kubeletHardening,
  schedulerHardening,
} from "./hardening/arguments";

export interface NodeDocumentArgs {
  name: string;
  /** Node IP, advertise address, and with it etcd's URLs and the certificates' SANs. */
  nodeIp: string;
  labels: Record<string, string>;
  /** Taken as it is: an empty list means no taint, on a control plane too. */
  taints: Taint[];
  role: Role;
  /** This host's resolv.conf for pods, where it may differ from the one in the cluster's KubeletConfiguration. */
  resolvConf?: string;
}

export interface ClusterDocumentArgs {
  /** Without the `v`. */
  kubernetesVersion: string;
  clusterName: string;
  endpoint: { address: string; port: number };
  /** The port that each API server listens on; absent: the endpoint's. */
  apiServerPort?: number;
  podCidr: string;
  serviceCidr: string;
  /** Further names and addresses of every API server's certificate; kubeadm adds the endpoint and the node's own. */
  certSANs: string[];
  profile: HostProfile;
  /** The file that kubelets hand to pods as resolv.conf: an absolute path. */
  resolvConf: string;
  mirrors?: Pick<MirrorsConfig, "imageRepository">;
  /** Absent: as kubeadm leaves it. Its files have to be on the control plane before (components/kubernetes/hardening/files.ts). */
  security?: SecurityConfig | undefined;
}

/** How a joiner finds the cluster and is let in. */
export type Discovery =
  | {
      token: string;
      /** `sha256:` and the hex digest of the CA's public key. */
      caCertHashes: string[];
    }
  /** A kubeconfig on the joiner with credentials of its own; absolute path. */
  | { kubeConfigPath: string };

export interface JoinDocumentArgs {
  endpoint: { address: string; port: number };
  /** As in ClusterDocumentArgs; of no meaning for a worker. */
  apiServerPort?: number;
  node: NodeDocumentArgs;
  discovery: Discovery;
  profile: HostProfile;
  /** How long the endpoint may take to answer, as a Go duration; kubeadm's own is `5m0s`. */
  discoveryTimeout?: string;
}

const apiVersion = "kubeadm.k8s.io/v1beta4";
const criSocket = "unix:///run/containerd/containerd.sock";

/**
 * What `kubeadm init` reads on the first control plane: InitConfiguration, ClusterConfiguration, KubeletConfiguration.
 * Throws for a worker.
 */
export function initConfiguration(a: ClusterDocumentArgs & { node: NodeDocumentArgs }): string {
  if (a.node.role !== "control-plane") {
    throw new Error(`${a.node.name} is a worker; a cluster starts on a control plane`);
  }
  return documents([initDocument(a), clusterDocument(a), kubeletDocument(a)]);
}

function initDocument(a: ClusterDocumentArgs & { node: NodeDocumentArgs }): object {
  return {
    apiVersion,
    kind: "InitConfiguration",
    // kubeadm makes a token when none is declared, good for 24 hours and for any join. This one belongs to a group that
    // may do nothing and is gone in a minute. Joins bring tokens of their own.
    bootstrapTokens: [
      { description: "unused", ttl: "1m0s", usages: ["authentication"], groups: ["system:bootstrappers:unused"] },
    ],
    localAPIEndpoint: localEndpoint(a),
    nodeRegistration: nodeRegistration(a.node, a.profile),
    // Cilium does kube-proxy's work; both at once would write rules for the same services.
    skipPhases: ["addon/kube-proxy"],
  };
}

function clusterDocument(a: ClusterDocumentArgs): object {
  const hardening = hardeningOf(a);
  return {
    apiVersion,
    kind: "ClusterConfiguration",
    clusterName: a.clusterName,
    kubernetesVersion: `v${a.kubernetesVersion}`,
    ...(a.mirrors?.imageRepository !== undefined && { imageRepository: a.mirrors.imageRepository }),
    controlPlaneEndpoint: `${a.endpoint.address}:${a.endpoint.port}`,
    networking: { dnsDomain: "cluster.local", podSubnet: a.podCidr, serviceSubnet: a.serviceCidr },
    apiServer: {
      certSANs: unique([a.endpoint.address, ...a.certSANs]),
      ...(hardening && apiServerHardening(hardening)),
    },
    ...(hardening && {
      controllerManager: controllerManagerHardening(hardening),
      scheduler: schedulerHardening(hardening),
    }),
    // No SANs here: they would go into every member's certificates. kubeadm puts each member's own name and advertise
    // address into its own (GetEtcdServerAltNames, GetEtcdPeerAltNames).
    etcd: { local: { dataDir: "/var/lib/etcd" } },
    // Remembered in the cluster, where skipPhases is not: without it `kubeadm upgrade` brings kube-proxy back.
    proxy: { disabled: true },
  };
}

function kubeletDocument(a: ClusterDocumentArgs): object {
  const hardening = hardeningOf(a);
  const own = { cgroupDriver: "systemd", resolvConf: a.resolvConf, ...(hardening && kubeletHardening(hardening)) };
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    ...merge(own, a.profile.kubelet),
  };
}

function hardeningOf({ security, kubernetesVersion }: ClusterDocumentArgs) {
  return security && { security, kubernetesVersion };
}

/**
 * What `kubeadm join` reads on every other node. A control plane gets its own API server and etcd member; the cluster's
 * authorities have to be in its /etc/kubernetes/pki before.
 */
export function joinConfiguration(a: JoinDocumentArgs): string {
  return documents([
    {
      apiVersion,
      kind: "JoinConfiguration",
      discovery:
        "kubeConfigPath" in a.discovery
          ? { file: { kubeConfigPath: a.discovery.kubeConfigPath } }
          : {
              bootstrapToken: {
                apiServerEndpoint: `${a.endpoint.address}:${a.endpoint.port}`,
                token: a.discovery.token,
                caCertHashes: a.discovery.caCertHashes,
              },
            },
      nodeRegistration: nodeRegistration(a.node, a.profile),
      ...(a.node.role === "control-plane" && { controlPlane: { localAPIEndpoint: localEndpoint(a) } }),
      ...(a.discoveryTimeout !== undefined && { timeouts: { discovery: a.discoveryTimeout } }),
    },
  ]);
}

/**
 * What `kubeadm upgrade apply` and `kubeadm upgrade node` read. Everything else they take from the cluster: its
 * ClusterConfiguration, where kube-proxy is disabled, and its KubeletConfiguration; a node's own flags stay as they are.
 */
export function upgradeConfiguration(a: Pick<ClusterDocumentArgs, "kubernetesVersion" | "profile">): string {
  const preflight = {
    ...(a.profile.ignorePreflightErrors.length > 0 && { ignorePreflightErrors: a.profile.ignorePreflightErrors }),
    ...(a.profile.imagePullPolicy !== undefined && { imagePullPolicy: a.profile.imagePullPolicy }),
  };
  return documents([
    {
      apiVersion,
      kind: "UpgradeConfiguration",
      apply: {
        kubernetesVersion: `v${a.kubernetesVersion}`,
        // Whoever names a pre-release means it.
        ...(a.kubernetesVersion.includes("-") && { allowExperimentalUpgrades: true }),
        ...preflight,
      },
      node: preflight,
    },
  ]);
}

// Without a balancer the endpoint is an address of the control plane itself, so its API server listens on the endpoint's port.
function localEndpoint(a: Pick<JoinDocumentArgs, "endpoint" | "apiServerPort" | "node">): object {
  return { advertiseAddress: a.node.nodeIp, bindPort: a.apiServerPort ?? a.endpoint.port };
}

function nodeRegistration(node: NodeDocumentArgs, profile: HostProfile): object {
  const labels = Object.entries(node.labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  return {
    name: node.name,
    criSocket,
    taints: node.taints.map(({ key, value, effect }) => ({ key, ...(value !== undefined && { value }), effect })),
    kubeletExtraArgs: [
      { name: "node-ip", value: node.nodeIp },
      ...(labels.length > 0 ? [{ name: "node-labels", value: labels.join(",") }] : []),
      ...(node.resolvConf !== undefined ? [{ name: "resolv-conf", value: node.resolvConf }] : []),
    ],
    ...(profile.ignorePreflightErrors.length > 0 && { ignorePreflightErrors: profile.ignorePreflightErrors }),
    ...(profile.imagePullPolicy !== undefined && { imagePullPolicy: profile.imagePullPolicy }),
  };
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}

function documents(all: object[]): string {
  return all.map(yamlDocument).join("---\n");
}

function yamlDocument(content: object): string {
  const document = new Document(content, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, scalar) {
      if (typeof scalar.value === "string" && !isPlainInYaml11(scalar.value)) {
        scalar.type = "QUOTE_DOUBLE";
      }
    },
  });
  return document.toString({ lineWidth: 0 });
}

// The writer quotes what YAML 1.2 would take for something else than text; kubeadm reads 1.1 too, where a bare `on` or
// `12:30` is none either.
function isPlainInYaml11(text: string): boolean {
  try {
    return parse(text, { version: "1.1", logLevel: "silent" }) === text;
  } catch {
    return false;
  }
}
