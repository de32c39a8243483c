/** The outputs of a cluster: what a program goes on with, and what the next preview is judged by. */

/** A node of the outputs. */
export interface NodeOutput {
  name: string;
  role: string;
  /** Node IP: the address in the node network. */
  address: string;
  /** Where the operator's machine reaches the host. */
  host: string;
  /** The device's stable ID in the tailnet; empty in a lan. */
  deviceId: string;
}

/** Without the `v`. */
export interface VersionsOutput {
  kubernetes: string;
  cilium: string;
}

/** A control plane of the outputs. */
export interface CertificateOutput {
  name: string;
  /** When the first of its certificates ends, RFC 3339. Its authorities have an output of their own. */
  expires: string;
}

/** An authority of the outputs. */
export interface AuthorityOutput {
  name: string;
  /** When its certificate ends, RFC 3339. */
  expires: string;
}

/** How the command `tailkube` reaches a node's host. */
export interface NodeAccess {
  name: string;
  role: string;
  /** Node IP. */
  address: string;
  /** Where the operator's machine reaches the host, and as which user. */
  host: string;
  port: number;
  user: string;
  /** Public host key, its type and its base64 text. */
  hostKey: string;
  /** ssh's configuration, if OpenSSH's client needs more than these (components/hosts/openssh.ts). */
  way?: string;
  hasSudoPassword: boolean;
  /** Its place in `logins`. */
  login: number;
}

/** All that the command `tailkube` needs of a cluster. Secret as a whole. */
export interface AccessOutput {
  clusterName: string;
  nodeNetwork: "tailnet" | "lan";
  endpoint: { address: string; port: number; kind?: "vip" };
  apiServerPort: number;
  /** Without the `v`. */
  kubernetesVersion: string;
  kubeconfig: string;
  directKubeconfig: string;
  nodes: NodeAccess[];
  /** What the stdin of the operator's scripts begins with: private keys, passphrases and sudo's passwords, each text once. */
  logins: string[];
}

/** What a node was made of, in the output `applied`. */
export interface AppliedNode {
  name: string;
  role?: string;
  /** Where the host was reached, `192.0.2.11:22`. */
  reached?: string;
  /** The text that the config had for the machine. */
  identity?: string;
  /** Whether its host key stood in the config. */
  isPinned?: boolean;
  /** Name of the machine, see machine.ts. */
  machine?: string;
  /** Fingerprint of labels and taints. */
  labels?: string;
  /** Fingerprint of its own fields of KubeletConfiguration; absent if it has none. */
  kubelet?: string;
  os?: string;
  cgroup?: number;
  containerd?: string;
}

/** Plain data of a few hundred bytes a node; nothing in it is secret. */
export interface Applied {
  /** What a running cluster cannot change, by config key. */
  settings?: Record<string, string>;
  /** What nodes are upgraded for, by config key. */
  software?: Record<string, string>;
  /** Fingerprint of Cilium's release. */
  release?: string;
  /** Network of the addresses of LoadBalancer services; absent if they get none. */
  loadBalancer?: string;
  /** Whether the hosts' NICs have UDP GRO forwarding; absent if not. */
  udpGro?: boolean;
  /** The parts of Hubble that run beside the agents, `relay ui`; absent if none does. */
  hubble?: string;
  /** Fingerprints of Kubernetes' own settings, by config key and without the content of files; absent if there are none. */
  kubernetesSettings?: Record<string, string>;
  nodes: AppliedNode[];
}
