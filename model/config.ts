/** The config that the rest of the program uses. `config/load.ts` creates it from what a user writes. */

export type Role = "control-plane" | "worker";

export interface Taint {
  key: string;
  value?: string;
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

export type HostConfig = SshHostConfig | Ec2HostConfig;

/** A bare host. */
export interface SshHostConfig {
  kind: "ssh";
  /** IPv4 address or DNS name that the operator's machine uses. */
  address: string;
  user: string;
  port: number;
  /** Public host key, `ssh-ed25519 AAAA…`. Absent: recorded at the first connection, enforced afterwards. */
  hostKey?: string;
  /** Any text; a changed text means that the node has a new machine. */
  identity?: string;
  /** Jump hosts on the way to it, in their order. */
  via?: JumpHost[];
  /** File on the operator's machine with its own private key. */
  keyFile?: string;
  /** Whether its user's sudo gets a password. */
  sudoPassword?: true;
}

/** A host that SSH connections to another one go through. */
export interface JumpHost {
  address: string;
  user: string;
  port: number;
  hostKey: string;
  /** File on the operator's machine with its own private key. */
  keyFile?: string;
}

/** How the node IP is found among a host's addresses in a LAN; all conditions must hold. */
export interface LanSelection {
  /** The address itself. */
  address?: string;
  /** Its network. */
  cidr?: string;
  /** Its interface: a name, or a prefix and `+`. */
  interface?: string;
}

export interface NodeConfig {
  /** DNS label; the Kubernetes node's name and the tailnet device's host name. */
  name: string;
  role: Role;
  host: HostConfig;
  labels: Record<string, string>;
  /** With kubeadm's defaults (`defaultTaints` in model/nodes.ts). */
  taints: Taint[];
  /** Fields of KubeletConfiguration for this node alone, merged over the cluster's. Absent: none. */
  kubelet?: Record<string, unknown>;
  /** Set if and only if nodeNetwork is lan. */
  lan?: LanSelection & {
    /** Whether the interface may leave checksums to its NIC. */
    checksumOffload: boolean;
  };
}

/** An argument of a process, without its dashes. */
export interface ExtraArgument {
  name: string;
  value: string;
}

/** A component of the control plane. */
export interface ComponentSettings {
  /** As in kubeadm's v1beta4: a name may be there several times. */
  extraArgs: ExtraArgument[];
  /** Names of files that it can read. `Secrets.extraFiles` has their content. */
  extraFiles: string[];
}

/** Whose tokens API servers accept: OpenID Connect. */
export interface OidcIssuer {
  issuerUrl: string;
  audiences: string[];
  /** CA certificates of the issuer, PEM. Absent: the image's own CAs. */
  ca?: string;
  usernameClaim: string;
  usernamePrefix: string;
  /** Absent: its users are in no groups. */
  groupsClaim?: string;
  groupsPrefix: string;
  /** Claims and the values that they must have. */
  requiredClaims: Record<string, string>;
}

/** Kubernetes' own settings. */
export interface KubernetesSettings {
  apiServer: ComponentSettings;
  controllerManager: ComponentSettings;
  scheduler: ComponentSettings;
  etcd: ComponentSettings;
  /** Fields of KubeletConfiguration for all nodes. */
  kubelet: Record<string, unknown>;
  /** Of the API server, the controller manager, the scheduler and the kubelets. */
  featureGates: Record<string, boolean>;
  oidc: OidcIssuer[];
}

/** Settings for unusual hosts. `emptyHostProfile` changes nothing. */
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
  /** IDs of requirements in components/hosts/host-requirements.ts to skip. */
  skipHostChecks: string[];
}

export interface ClusterConfig {
  clusterName: string;
  nodes: NodeConfig[];
  /** The network of the nodes' addresses. */
  nodeNetwork: "tailnet" | "lan";
  /**
   * Where nodes reach the API. In a tailnet, an IPv4 address on the loopback of every control plane. In a LAN, an IPv4 address or DNS
   * name that leads to a control plane; `kind: vip` is an IPv4 address that the program keeps on one control plane at a time.
   */
  endpoint: { address: string; port: number; kind?: "vip" };
  /** The port of each API server: the endpoint's, except behind a load balancer. */
  apiServerPort: number;
  /** The number that the cluster's networks follow from; absent if they follow from none. */
  networkNumber?: number;
  podCidr: string;
  serviceCidr: string;
  /** The addresses of Services of type LoadBalancer. Absent: the cluster has none. */
  loadBalancer?: { cidr: string };
  /** Hubble's relay, and with `ui` its UI. Absent: neither, and only each agent's own view of flows. */
  hubble?: { ui: boolean };
  /** `native`: each node's pod network is a route (in a tailnet, one of the tailnet). `vxlan`: a tunnel. */
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
  /** How many workers may be drained and upgraded at the same time. Control planes are always upgraded one at a time. */
  maxUnavailableWorkers: number;
  /** Time limit of a drain, in seconds; 0: no drain. */
  drainSeconds: number;
  /** Absolute path, on the first control plane, of the etcd snapshot that restores a cluster without any control plane. */
  restoreSnapshot?: string;
  /** Absent: none are set. */
  settings?: KubernetesSettings;
  cilium: {
    version: string;
    /** Path of a chart on the operator's machine, instead of https://helm.cilium.io. */
    chart?: string;
    values: Record<string, unknown>;
  };
  tailnet: {
    loginServer: string;
    tag: string;
    /** A second tag of control planes, for a policy that reserves the endpoint's route for them. */
    controlPlaneTag?: string;
    /** MTU of tailscale0 in bytes. */
    mtu: number;
    /** Whether the NICs of the default routes have UDP GRO forwarding. */
    udpGroForwarding?: true;
    /** URL of the tailnet's API, without a slash at the end. */
    api: string;
    /** ID of the OAuth client. */
    oauthClientId?: string;
    /** How the nodes' routes are approved: outside the program, by the program for each device, or by a policy that it owns. */
    routeApproval: "none" | "devices" | "policy";
    /** The user's part of that policy, parsed. */
    policy?: Record<string, unknown>;
  };
  /** Defaults for hosts. */
  ssh: {
    user: string;
    port: number;
    /** Whether the keys are in the operator's ssh-agent. */
    agent?: true;
    /** Whether OpenSSH's client reaches all bare hosts, instead of the provider's own SSH. */
    openssh?: true;
  };
  /** Where hosts of kind ec2 are created. */
  ec2?: Ec2Config;
  /** Absolute path of an offline bundle on the hosts. Absent: distribution packages. */
  bundle?: string;
  /** Where hosts install from instead of the official servers. */
  mirrors: MirrorsConfig;
  /** Absent: hosts reach the internet without one. */
  proxy?: ProxyConfig;
  hostProfile: HostProfile;
  /**
   * The address at which the operator's machine reaches the API server: the first control plane's SSH address, its tailnet address,
   * or the endpoint.
   */
  operatorEndpoint: "host" | "tailnet" | "endpoint";
  security: SecurityConfig;
  /** Whether `up` checks the cluster at its end. */
  checks: boolean;
}

/** Unencrypted; `config/stack.ts` immediately turns them into Pulumi secrets. */
export interface Secrets {
  /** Empty if the operator's ssh-agent has it, or each host has its own. */
  sshPrivateKey: string;
  /** Other private keys, by the path of their file. */
  sshKeyFiles?: Record<string, string>;
  /** Of all private keys that have one. */
  sshKeyPassphrase?: string;
  /** sudo's, of all login users. */
  sudoPassword?: string;
  /** `NODE PASSWORD` of nodes with another one, one per line. */
  sudoPasswords?: string;
  /** Absent in a LAN, and if the program creates the keys. */
  tailnetAuthKey?: string;
  /** Of control planes, with their own tag. Absent: they use tailnetAuthKey. */
  tailnetControlPlaneAuthKey?: string;
  /** Access token of the tailnet's API. */
  tailnetApiKey?: string;
  /** Secret of an OAuth client of the tailnet's API. */
  tailnetOauthClientSecret?: string;
  /** `HOST[:PORT] USER:PASSWORD` of registries' mirrors, one per line. */
  registryCredentials?: string;
  /** `USER:PASSWORD` of the hosts' proxy. */
  proxyCredentials?: string;
  /** Content of the control plane's extra files, by their path below `securityFolder`, such as api-server/webhook.yaml. */
  extraFiles?: Record<string, string>;
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

/** A machine that the program creates. Later changes do not affect an existing machine. */
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
  /** A subnet of the existing VPC. Absent: the program uses the subnets in turn. */
  subnetId?: string;
  /** Any text; a changed text replaces the machine. */
  identity?: string;
}

export interface Ec2Config {
  region: string;
  /** An existing VPC and its subnets. Absent: the program creates them. */
  given?: { vpcId: string; subnetIds: string[] };
  /** IPv4 network of a new VPC or, in a LAN, of the existing one. */
  vpcCidr: string;
  /** IPv4 networks from which SSH, and the API for Cilium's installation, are allowed. */
  operatorCidrs: string[];
  /** Whether any address may send to Tailscale's UDP port, for direct connections from elsewhere. */
  openTailscalePort: boolean;
  /** Which address of a host the operator's machine uses. */
  operatorAddress: "public" | "private";
}

/** Hardening. docs/reference/security.md explains each key. */
export interface SecurityConfig {
  /** Whether Secrets are encrypted in etcd. API servers can always read both kinds. */
  secretsEncryption: boolean;
  auditLog: boolean;
  /** What the API answers without credentials: only the health paths, or what RBAC allows for `system:anonymous`. */
  anonymousRequests: "health" | "all";
  /** Whether kubelets use serving certificates from the cluster's CA, and API servers verify them. */
  kubeletServingCertificates: boolean;
  /** Whether containers without a seccomp profile get the runtime's default. */
  seccompDefault: boolean;
  /** Maximum number of processes in a pod; 0: no limit. */
  podPidsLimit: number;
  /** Whether a Service may claim external IP addresses. */
  serviceExternalIPs: boolean;
  /** The Pod Security Standard of namespaces without their own labels. */
  podSecurity: "privileged" | "baseline" | "restricted";
  /** Whether API servers limit events, so that they cannot fill etcd. */
  eventRateLimit: boolean;
  /** Whether the control plane's processes serve their profiles. */
  profiling: boolean;
  /** Whether service account tokens stay valid for a year instead of an hour, for clients that never reload them. */
  extendedTokens: boolean;
}

/** An apt repository. */
export interface PackageMirror {
  /** Replaces the official address; without a slash at the end. */
  url: string;
  /** URL of the signing key. Absent: at its official path. */
  keyUrl?: string;
}

/** Where containerd pulls a registry's images from before it tries the registry itself. */
export interface RegistryMirror {
  /** The registry in image names, such as registry.k8s.io. */
  name: string;
  /** URLs, tried in this order. */
  endpoints: string[];
  /** CA certificates of the endpoints, PEM. Absent: the host's own CAs. */
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
  /** Replaces registry.k8s.io in the names of kubeadm's images. */
  imageRepository?: string;
}

/** The proxy between the hosts and the internet. */
export interface ProxyConfig {
  /** For http URLs: `http://HOST:PORT`. Absent: none. */
  http?: string;
  /** For https URLs, with CONNECT. */
  https: string;
  /** Names, addresses and networks that hosts reach without it, beside the cluster's own. */
  noProxy: string[];
}

export type PackageMirrorName = "kubernetes" | "tailscale" | "docker";
