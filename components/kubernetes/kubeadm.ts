/**
 * kubeadm's documents (kubeadm.k8s.io/v1beta4) as YAML. The same arguments always give the same text.
 */
import { Document, parse, visit } from "yaml";
import type { HostProfile, KubernetesSettings, MirrorsConfig, Role, SecurityConfig, Taint } from "../../model/config";
import { merge } from "../../model/merge";
import { mayKubeletSet } from "../../model/nodes";
import { givenArguments, securityFolder } from "./settings/components";
import {
  apiServerHardening,
  controllerManagerHardening,
  kubeletHardening,
  schedulerHardening,
} from "./hardening/arguments";

export interface NodeDocumentArgs {
  name: string;
  /** Node IP and advertise address, and so also part of etcd's URLs and the certificates' SANs. */
  nodeIp: string;
  labels: Record<string, string>;
  /** An empty list means no taint, also on a control plane. */
  taints: Taint[];
  role: Role;
  /** This host's resolv.conf for pods, which may differ from the one in the cluster's KubeletConfiguration. */
  resolvConf?: string;
  /** Whether the node has a patch of KubeletConfiguration in `patchesFolder`. */
  hasPatches?: boolean;
}

/** kubeadm's patches on a host; host/lib/settings/kubelet-settings.sh uses the same path. */
export const patchesFolder = `${securityFolder}/patches`;

export interface ClusterDocumentArgs {
  /** Without the `v`. */
  kubernetesVersion: string;
  clusterName: string;
  endpoint: { address: string; port: number };
  /** The port of each API server; absent: the endpoint's. */
  apiServerPort?: number;
  podCidr: string;
  serviceCidr: string;
  /** More names and addresses for every API server's certificate; kubeadm adds the endpoint and the node's own. */
  certSANs: string[];
  profile: HostProfile;
  /** Absolute path of the resolv.conf for pods. */
  resolvConf: string;
  mirrors?: Pick<MirrorsConfig, "imageRepository">;
  /** Absent: no hardening. Its files must already be on the control plane (components/kubernetes/hardening/files.ts). */
  security?: SecurityConfig | undefined;
  /** Their files must be there, too. Used with `security` only. */
  settings?: KubernetesSettings;
}

/** How a joining host finds the cluster and authenticates. */
export type Discovery =
  | {
      token: string;
      /** `sha256:` and the hex digest of the CA's public key. */
      caCertHashes: string[];
    }
  /** Absolute path of a kubeconfig with credentials on the joining host. */
  | { kubeConfigPath: string };

export interface JoinDocumentArgs {
  endpoint: { address: string; port: number };
  /** As in ClusterDocumentArgs; not used for a worker. */
  apiServerPort?: number;
  node: NodeDocumentArgs;
  discovery: Discovery;
  profile: HostProfile;
}

const apiVersion = "kubeadm.k8s.io/v1beta4";
const criSocket = "unix:///run/containerd/containerd.sock";

/**
 * The input of `kubeadm init` on the first control plane: InitConfiguration, ClusterConfiguration, KubeletConfiguration. Throws for a
 * worker.
 */
export function initConfiguration(a: ClusterDocumentArgs & { node: NodeDocumentArgs }): string {
  if (a.node.role !== "control-plane") {
    throw new Error(`${a.node.name} is a worker, but only a control plane can initialize a cluster`);
  }
  return documents([initDocument(a), clusterDocument(a), kubeletDocument(a)]);
}

function initDocument(a: ClusterDocumentArgs & { node: NodeDocumentArgs }): object {
  return {
    apiVersion,
    kind: "InitConfiguration",
    // Without this token, kubeadm would create one that is valid for any join for 24 hours. This one is in a group without
    // permissions and expires after a minute. Joins use other tokens.
    bootstrapTokens: [
      { description: "unused", ttl: "1m0s", usages: ["authentication"], groups: ["system:bootstrappers:unused"] },
    ],
    localAPIEndpoint: localEndpoint(a),
    nodeRegistration: nodeRegistration(a.node, a.profile),
    ...patches(a.node),
    // Cilium replaces kube-proxy.
    skipPhases: ["addon/kube-proxy"],
  };
}

const hardeningOf = ({ security, settings }: ClusterDocumentArgs) =>
  security && { security, ...(settings !== undefined && { settings }) };

function clusterDocument(a: ClusterDocumentArgs): object {
  const hardening = hardeningOf(a);
  const etcdArguments = givenArguments("etcd", a.settings);
  return {
    apiVersion,
    kind: "ClusterConfiguration",
    clusterName: a.clusterName,
    kubernetesVersion: `v${a.kubernetesVersion}`,
    ...(a.mirrors?.imageRepository !== undefined && { imageRepository: a.mirrors.imageRepository }),
    controlPlaneEndpoint: `${a.endpoint.address}:${a.endpoint.port}`,
    networking: { dnsDomain: "cluster.local", podSubnet: a.podCidr, serviceSubnet: a.serviceCidr },
    apiServer: {
      certSANs: [...new Set([a.endpoint.address, ...a.certSANs])],
      ...(hardening && apiServerHardening(hardening)),
    },
    ...(hardening && {
      controllerManager: controllerManagerHardening(hardening),
      scheduler: schedulerHardening(hardening),
    }),
    // No SANs: they would be in every member's certificates. kubeadm adds each member's own name and advertise address
    // (GetEtcdServerAltNames, GetEtcdPeerAltNames).
    etcd: {
      local: { dataDir: "/var/lib/etcd", ...(etcdArguments.length > 0 && { extraArgs: etcdArguments }) },
    },
    // The cluster stores this, unlike skipPhases: without it, `kubeadm upgrade` would install kube-proxy.
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

/** The file in `patchesFolder` with a node's own fields of KubeletConfiguration. */
export function kubeletPatch(fields: Record<string, unknown>): string {
  return yamlDocument(fields).trimEnd();
}

/**
 * The input of `kubeadm config validate`, which rejects unknown fields, unlike the kubelet: what a node's KubeletConfiguration becomes
 * with its own fields. kubeadm needs a ClusterConfiguration beside it.
 */
export function kubeletCheck(
  a: Pick<ClusterDocumentArgs, "kubernetesVersion" | "profile">,
  fields: Record<string, unknown>,
): string {
  return documents([
    { apiVersion, kind: "ClusterConfiguration", kubernetesVersion: `v${a.kubernetesVersion}` },
    {
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      kind: "KubeletConfiguration",
      ...merge(a.profile.kubelet, fields),
    },
  ]);
}

/**
 * The input of `kubeadm join` on every other node. A control plane gets its own API server and etcd member; the cluster's authorities
 * must already be in its /etc/kubernetes/pki.
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
      ...patches(a.node),
      ...(a.node.role === "control-plane" && { controlPlane: { localAPIEndpoint: localEndpoint(a) } }),
    },
  ]);
}

/**
 * The input of `kubeadm upgrade apply` and `kubeadm upgrade node`. They get everything else from the cluster's ClusterConfiguration, where
 * kube-proxy is disabled, and its KubeletConfiguration; a node's own flags do not change.
 */
export function upgradeConfiguration(
  a: Pick<ClusterDocumentArgs, "kubernetesVersion" | "profile"> & Pick<NodeDocumentArgs, "hasPatches">,
): string {
  const preflight = {
    ...patches(a),
    ...(a.profile.ignorePreflightErrors.length > 0 && { ignorePreflightErrors: a.profile.ignorePreflightErrors }),
    ...(a.profile.imagePullPolicy !== undefined && { imagePullPolicy: a.profile.imagePullPolicy }),
  };
  return documents([
    {
      apiVersion,
      kind: "UpgradeConfiguration",
      apply: {
        kubernetesVersion: `v${a.kubernetesVersion}`,
        // A user who sets a pre-release wants it.
        ...(a.kubernetesVersion.includes("-") && { allowExperimentalUpgrades: true }),
        ...preflight,
      },
      node: preflight,
    },
  ]);
}

const patches = ({ hasPatches }: Pick<NodeDocumentArgs, "hasPatches">) =>
  hasPatches === true && { patches: { directory: patchesFolder } };

// Without a load balancer, the endpoint is an address of the control plane itself, so its API server uses the endpoint's port.
function localEndpoint(a: Pick<JoinDocumentArgs, "endpoint" | "apiServerPort" | "node">): object {
  return { advertiseAddress: a.node.nodeIp, bindPort: a.apiServerPort ?? a.endpoint.port };
}

function nodeRegistration(node: NodeDocumentArgs, profile: HostProfile): object {
  const labels = Object.entries(node.labels)
    // The stage finalize sets the others.
    .filter(([key]) => mayKubeletSet(key))
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

// The library quotes text that YAML 1.2 would not read as text. kubeadm also reads YAML 1.1, where `on` and `12:30` are not text.
function isPlainInYaml11(text: string): boolean {
  try {
    return parse(text, { version: "1.1", logLevel: "silent" }) === text;
  } catch {
    return false;
  }
}
