/** The config as the rest of the program works with it: `config/load.ts` makes it of what a user writes. */

export type Role = "control-plane" | "worker";

/** A Kubernetes taint as kubeadm and `kubectl taint` take it. */
export interface Taint {
  key: string;
  value?: string;
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

export type HostConfig = SshHostConfig | Ec2HostConfig;

/** A bare host that is reached by SSH. */
export interface SshHostConfig {
  kind: "ssh";
  /** IPv4 address or DNS name that the operator's machine reaches. */
  address: string;
  user: string;
  port: number;
  /** Public host key, `ssh-ed25519 AAAA…`. Absent: recorded on first contact, enforced after. */
  hostKey?: string;
  /** Any text; a changed one says that the machine behind the name is a new one. */
  identity?: string;
}

/** What picks the node IP out of a host's addresses in a lan; all that is given has to hold. */
export interface LanSelection {
  /** The address itself. */
  address?: string;
  /** The network that it is in. */
  cidr?: string;
  /** The interface that has it: its name, or the beginning of its name and `+`. */
  interface?: string;
}

export interface NodeConfig {
  /** DNS label; the Kubernetes node's name and the tailnet device's host name. */
  name: string;
  role: Role;
  host: HostConfig;
  labels: Record<string, string>;
  /** What the node is registered with, kubeadm's defaults filled in (see `defaultTaints` in model/nodes.ts). */
  taints: Taint[];
  /** With nodeNetwork lan only, and then always. */
  lan?: LanSelection & {
    /** Whether the interface may leave checksums to its NIC. */
    checksumOffload: boolean;
  };
}

/** What an unusual kind of host needs to differ in. The empty profile (`emptyHostProfile`) changes nothing. */
export interface HostProfile {
  /** Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1), merged over the program's own. */
  kubelet: Record<string, unknown>;
  /** kubeadm's names of preflight checks that may fail. */
  ignorePreflightErrors: string[];
  imagePullPolicy?: "Never" | "IfNotPresent" | "Always";
  containerd: {
    /** For hosts without CAP_SYS_RESOURCE. */
    restrictOomScoreAdj: boolean;
  };
  /** Values of the Cilium chart, merged over the program's own and under the user's. */
  ciliumValues: Record<string, unknown>;
  /** Ids of checks in components/cluster/preflight.ts that are not made. */
  skipHostChecks: string[];
}

export interface ClusterConfig {
  clusterName: string;
  nodes: NodeConfig[];
  /** Which network the nodes' addresses are of: the tailnet's, or the hosts' own. */
  nodeNetwork: "tailnet" | "lan";
  /**
   * Where nodes reach the API. In a tailnet an IPv4 address that every control plane has on its loopback; in a lan what the
   * user says leads to a control plane, an IPv4 address or a DNS name.
   */
  endpoint: { address: string; port: number };
  /** The port that each API server listens on: the endpoint's, but behind a balancer. */
  apiServerPort: number;
  podCidr: string;
  serviceCidr: string;
  /** `native`: each node's pod network is a route, in a tailnet the tailnet's. `vxlan`: pods are tunnelled. */
  podRouting: "native" | "vxlan";
  /** UDP port of the tunnel; used with `podRouting: vxlan` only. */
  tunnelPort: number;
  /** Without the `v`. */
  kubernetesVersion: string;
  /** Without the `v`. Absent: the bundle's, or what is installed, or else the newest. */
  tailscaleVersion?: string;
  /** Without the `v`. Absent: the bundle's, or what is installed, or else the newest containerd.io. */
  containerdVersion?: string;
  /** Any text; a changed one renews the control planes' certificates. */
  certificateRenewal: string;
  /** Bound on the drain of a node, in seconds; 0: nodes are upgraded, or leave, with their pods on them. */
  drainSeconds: number;
  /** Absolute path on the first control plane of the etcd snapshot that a cluster without any control plane is made from. */
  restoreSnapshot?: string;
  cilium: {
    version: string;
    /** A chart on the operator's machine, instead of the one at https://helm.cilium.io. */
    chart?: string;
    values: Record<string, unknown>;
  };
  tailnet: {
    loginServer: string;
    tag: string;
    /** What control planes have beside it, where the policy lets no other device have the endpoint's route. */
    controlPlaneTag?: string;
    /** MTU of tailscale0 in bytes. */
    mtu: number;
    /** URL of the API by which devices are deleted, without a slash at the end. */
    api: string;
    /** Of the OAuth client whose secret is among the secrets. */
    oauthClientId?: string;
    /** Who approves the nodes' routes: somebody else, the program for each device, or the policy that the program owns. */
    routeApproval: "none" | "devices" | "policy";
    /** The user's part of that policy, parsed. */
    policy?: Record<string, unknown>;
  };
  /** What a node's host has where it names nothing itself. */
  ssh: { user: string; port: number };
  /** Where hosts of kind ec2 are made. */
  ec2?: Ec2Config;
  /** Absolute path on the hosts of an offline bundle. Absent: distribution packages. */
  bundle?: string;
  /** Where hosts install from instead of the official places. */
  mirrors: MirrorsConfig;
  hostProfile: HostProfile;
  /**
   * The address by which the operator's machine reaches the API server: the first control plane's SSH address, its
   * tailnet address (in a tailnet), or the endpoint.
   */
  operatorEndpoint: "host" | "tailnet" | "endpoint";
  security: SecurityConfig;
  /** Whether the cluster is checked at the end of `up`. */
  checks: boolean;
}

/** In plain; `config/stack.ts` turns them into Pulumi secrets at once. */
export interface Secrets {
  sshPrivateKey: string;
  /** Absent in a lan, and where the program makes the keys. */
  tailnetAuthKey?: string;
  /** Of the control planes, with their own tag; absent: they use the other one. */
  tailnetControlPlaneAuthKey?: string;
  /** Access token of the tailnet's API. Absent, as the next one: no device is deleted by it. */
  tailnetApiKey?: string;
  /** Secret of an OAuth client of the tailnet's API. */
  tailnetOauthClientSecret?: string;
  /** `HOST[:PORT] USER:PASSWORD` of registries' mirrors, one a line. */
  registryCredentials?: string;
}

export const emptyHostProfile: HostProfile = {
  kubelet: {},
  ignorePreflightErrors: [],
  containerd: { restrictOomScoreAdj: false },
  ciliumValues: {},
  skipHostChecks: [],
};

export type Architecture = "amd64" | "arm64";

/** `ubuntu` is the newest LTS release, `debian` the stable one. */
export type Ec2Os = "debian" | "ubuntu" | "ubuntu-24.04";

/** A machine that the program makes. What is here counts when it is made: a machine that is there stays as it is. */
export interface Ec2HostConfig {
  kind: "ec2";
  /** The image's own login user. */
  user: string;
  port: number;
  instanceType: string;
  architecture: Architecture;
  os: Ec2Os;
  /** Size of the root volume in GiB. */
  rootVolumeGib: number;
  /** A subnet of the VPC given. Absent: the VPC's subnets take turns. */
  subnetId?: string;
  /** Any text; a changed one has the machine made anew. */
  identity?: string;
}

export interface Ec2Config {
  region: string;
  /** A VPC that is there, with subnets of it. Absent: both are made. */
  given?: { vpcId: string; subnetIds: string[] };
  /** IPv4 network of the VPC: of one that is made or, in a lan, of the one that is given. */
  vpcCidr: string;
  /** IPv4 networks from which SSH, and the API for Cilium's installation, are allowed. */
  operatorCidrs: string[];
  /** Whether the world may send to Tailscale's UDP port: direct paths from hosts elsewhere. */
  openTailscalePort: boolean;
  /** By which of its addresses the operator's machine reaches a host. */
  operatorAddress: "public" | "private";
}

/** How much of what a plain kubeadm cluster leaves open is closed. docs/reference/security.md says what each one does. */
export interface SecurityConfig {
  /** Whether Secrets are encrypted in etcd. Either way every API server can read both kinds. */
  secretsEncryption: boolean;
  auditLog: boolean;
  /** What the API answers without credentials: the health paths alone, or whatever RBAC gives `system:anonymous`. */
  anonymousRequests: "health" | "all";
  /** Whether kubelets serve under certificates of the cluster's authority, and API servers insist on them. */
  kubeletServingCertificates: boolean;
  /** Whether containers that name no seccomp profile get the runtime's default one. */
  seccompDefault: boolean;
  /** Bound on the processes of a pod; 0: none. */
  podPidsLimit: number;
  /** Whether a Service may claim external IP addresses for itself. */
  serviceExternalIPs: boolean;
  /** The Pod Security Standard that namespaces without labels of their own are held to. */
  podSecurity: "privileged" | "baseline" | "restricted";
  /** Whether a flood of events is cut off before it fills etcd. */
  eventRateLimit: boolean;
  /** Whether the control plane's processes serve their profiles. */
  profiling: boolean;
  /** Whether service accounts' tokens are good for a year instead of the hour they say, for clients that do not renew them. */
  extendedTokens: boolean;
}

/** Where apt finds a project's packages. */
export interface PackageMirror {
  /** What stands for the official address, without a slash at the end. */
  url: string;
  /** URL of the key that signs them. Absent: where the official address has it. */
  keyUrl?: string;
}

/** Where containerd pulls a registry's images from, before it asks the registry itself. */
export interface RegistryMirror {
  /** The registry as image names have it, such as registry.k8s.io. */
  name: string;
  /** URLs, asked in this order. */
  endpoints: string[];
  /** PEM text of the authorities that sign the endpoints' certificates. Absent: the host's own. */
  ca?: string;
}

export interface MirrorsConfig {
  packages: Partial<Record<PackageMirrorName, PackageMirror>>;
  registries: RegistryMirror[];
  /** A Helm repository with Cilium's chart. */
  charts?: {
    url: string;
    /** Path on the operator's machine. */
    caFile?: string;
  };
  /** What stands for registry.k8s.io in the names of kubeadm's images. */
  imageRepository?: string;
}

export type PackageMirrorName = "kubernetes" | "tailscale" | "docker";
