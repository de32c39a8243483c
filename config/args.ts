/** What a user writes, as types. Written by `npm run generate` from config/schema: do not edit it. */
import type { Input } from "@pulumi/pulumi";

export interface ClusterArgs {
  /** Name of the cluster in kubeconfigs. Default: tailkube. */
  clusterName?: string;
  /** The nodes. Control planes join in this order. */
  nodes: Array<NodeArgs>;
  /** The network between the nodes. tailnet, or lan (the hosts' own network, without a tailnet). Default: tailnet. */
  nodeNetwork?: "tailnet" | "lan";
  /** The tailnet, with nodeNetwork tailnet. Its secrets are keys of their own. */
  tailnet?: TailnetArgs;
  /** Auth key of the tailnet, tagged and not ephemeral. A secret; or name its file in tailnet.authKeyFile. Without a key, the program creates one for each node with Tailscale's API. */
  tailnetAuthKey?: Input<string>;
  /** Auth key of the control planes, with both tags. Required with tailnet.controlPlaneTag, unless the program creates the keys. A secret; or name its file in tailnet.controlPlaneAuthKeyFile. */
  tailnetControlPlaneAuthKey?: Input<string>;
  /** Access token of the tailnet's API. With it, the program deletes the devices of removed nodes; without it, they stay in the list. A secret; or name its file in tailnet.apiKeyFile. */
  tailnetApiKey?: Input<string>;
  /** The OAuth client's secret. A secret; or name its file in tailnet.oauthClientSecretFile. */
  tailnetOauthClientSecret?: Input<string>;
  /** How the program finds the nodes' addresses, with nodeNetwork lan. */
  lan?: LanArgs;
  /** Where nodes and clients reach the API. */
  endpoint?: EndpointArgs;
  /** Networks of pods and services. */
  network?: NetworkArgs;
  /** Services of type LoadBalancer. */
  loadBalancer?: LoadBalancerArgs;
  /** Kubernetes on the nodes, how it is upgraded, and its own settings (docs/operate/settings.md). */
  kubernetes?: KubernetesArgs;
  /** Cilium, the pods' network. */
  cilium?: CiliumArgs;
  /** Hubble, which shows the flows between pods that Cilium has seen, and why it dropped packets. */
  hubble?: HubbleArgs;
  /** How the program connects to hosts. */
  ssh?: SshArgs;
  /** Private SSH key for all hosts. Required unless ssh.agent is set or all hosts have their own. A secret; or name its file in ssh.privateKeyFile. */
  sshPrivateKey?: Input<string>;
  /** Passphrase of the private SSH keys. A secret; or name its file in ssh.privateKeyPassphraseFile. */
  sshKeyPassphrase?: Input<string>;
  /** sudo's password for the hosts' SSH users other than root. A secret; or name its file in ssh.sudoPasswordFile. */
  sudoPassword?: Input<string>;
  /** For hosts with another sudo password, one line each, NODE PASSWORD. A secret; or name its file in ssh.sudoPasswordsFile. */
  sudoPasswords?: Input<string>;
  /** For hosts of kind ec2: where they are created, and what hosts have that do not set it themselves. */
  ec2?: Ec2Args;
  /** Absolute path of an offline bundle on the hosts. Empty means distribution packages. */
  bundle?: string;
  /** Where hosts install from instead of the official places. */
  mirrors?: MirrorsArgs;
  /** For mirrors.registries, one line per server that requires a password, HOST[:PORT] USER:PASSWORD. A secret; or name its file in mirrors.registryCredentialsFile. */
  registryCredentials?: Input<string>;
  /** The proxy between the hosts and the internet. */
  proxy?: ProxyArgs;
  /** For a proxy that asks for them, USER:PASSWORD. A secret; or name its file in proxy.credentialsFile. */
  proxyCredentials?: Input<string>;
  /** File on this machine that describes how unusual hosts differ, relative to the project. */
  hostProfile?: string;
  /** How this machine reaches the API. host (SSH address of the first control plane), tailnet (its tailnet address) or endpoint. Default: host. */
  operatorEndpoint?: "host" | "tailnet" | "endpoint";
  /** Hardening, all on by default. docs/reference/security.md explains each key. */
  security?: SecurityArgs;
  /** Whether the program checks the cluster at the end of each up. Default: true. */
  checks?: boolean;
}

export interface NodeArgs {
  /** Name of the Kubernetes node and of its device in the tailnet. */
  name: string;
  /** Use an odd number of control planes, because etcd needs a majority. */
  role: "control-plane" | "worker";
  /** The machine. */
  host: SshHostArgs | Ec2HostArgs;
  /** Labels of the Kubernetes node. Of kubernetes.io and k8s.io, only those that a kubelet may set, and roles such as node-role.kubernetes.io/storage. */
  labels?: Record<string, unknown>;
  /** Taints of the Kubernetes node; an empty list for none. By default, control planes have kubeadm's if there is a worker. */
  taints?: Array<TaintArgs>;
  /** Fields of KubeletConfiguration for this node alone, merged over kubernetes.kubelet. */
  kubelet?: Record<string, unknown>;
  /** With nodeNetwork lan, the node IP itself, instead of lan.cidr and lan.interface. */
  nodeIp?: string;
  /** With nodeNetwork lan, the interface with the node IP, instead of lan.cidr and lan.interface. */
  nodeInterface?: string;
  /** With nodeNetwork lan, whether this node's interface may leave checksums to its NIC. Default: lan.checksumOffload. */
  checksumOffload?: boolean;
}

export interface SshHostArgs {
  /** An existing machine that is reached by SSH. Optional. */
  kind?: "ssh";
  /** Where your machine reaches it by SSH. In a tailnet, this must not be a tailnet address. */
  address: Input<string>;
  /** SSH user; root, or a user with sudo. Default: ssh.user. */
  user?: string;
  /** SSH port. Default: ssh.port. */
  port?: number;
  /** Its public SSH host key. By default, the program pins the key of the first connection. */
  hostKey?: Input<string>;
  /** Jump hosts (bastions) on the way to it, in their order; an empty list for none. Default: ssh.via. */
  via?: Array<JumpHostArgs>;
  /** File on this machine with its own private SSH key, relative to the project. Default: the stack's key. */
  privateKeyFile?: string;
  /** Changing this text declares that the name now stands for a different machine, and replaces the node. */
  identity?: Input<string>;
}

export interface JumpHostArgs {
  /** Where your machine, or the jump host before it, reaches it by SSH. */
  address: string;
  /** SSH user; a shell is not needed. Default: ssh.user. */
  user?: string;
  /** SSH port. Default: 22. */
  port?: number;
  /** Its public SSH host key. Read it on the jump host's own console. */
  hostKey: string;
  /** File on this machine with its own private SSH key, relative to the project. Default: the stack's key. */
  privateKeyFile?: string;
}

export interface Ec2HostArgs {
  /** A machine that the program creates on EC2. The stack's ec2 has the defaults for keys that are not set. */
  kind: "ec2";
  /** Instance type of this machine. */
  instanceType?: string;
  /** Architecture of this machine. */
  architecture?: "amd64" | "arm64";
  /** Operating system of this machine. */
  os?: "debian" | "ubuntu" | "ubuntu-24.04";
  /** Size of this machine's root volume in GiB. */
  rootVolumeGib?: number;
  /** A subnet of the existing VPC. By default, the program uses the zones in turn. */
  subnetId?: string;
  /** Changing this text replaces the machine. */
  identity?: Input<string>;
}

export interface TaintArgs {
  /** Key of the taint. */
  key: string;
  /** Value of the taint. */
  value?: string;
  /** What happens to pods that do not tolerate it. */
  effect: "NoSchedule" | "PreferNoSchedule" | "NoExecute";
}

export interface TailnetArgs {
  /** URL of the tailnet's coordination server. Default: https://controlplane.tailscale.com. */
  loginServer?: string;
  /** Tag of the nodes' devices in the tailnet. The auth key must assign it. Default: tag:k8s. */
  tag?: string;
  /** Second tag, only for control planes' devices. With it, the tailnet's policy can reserve the endpoint's route for control planes. */
  controlPlaneTag?: string;
  /** MTU of tailscale0 in bytes, at least 1280. Default: 1280. */
  mtu?: number;
  /** Whether the NICs of the hosts' default routes forward UDP in batches (rx-udp-gro-forwarding), as Tailscale recommends for subnet routers. Only Linux 6.2 and newer make use of it. Default: false. */
  udpGroForwarding?: boolean;
  /** File on this machine with the tailnet's auth key, relative to the project. */
  authKeyFile?: string;
  /** File on this machine with the control planes' auth key, relative to the project. */
  controlPlaneAuthKeyFile?: string;
  /** URL of the tailnet's API. The program uses it to delete devices, create auth keys and approve routes. Default: https://api.tailscale.com. */
  api?: string;
  /** File on this machine with the access token of the tailnet's API, relative to the project. */
  apiKeyFile?: string;
  /** ID of an OAuth client of Tailscale's API, as an alternative to tailnetApiKey. */
  oauthClientId?: string;
  /** File on this machine with the OAuth client's secret, relative to the project. */
  oauthClientSecretFile?: string;
  /** How the nodes' routes are approved. none (by the tailnet's policy or by hand), devices (by the program, for each device), or policy (the program owns the tailnet's whole policy, see policyFile). Default: devices if the program creates the auth keys, otherwise none. */
  routeApproval?: "none" | "devices" | "policy";
  /** With routeApproval policy, the file on this machine with the tailnet's whole policy as JSON. The program adds what the cluster needs, and the result replaces the tailnet's policy. */
  policyFile?: string;
  /** Tailscale version on the hosts, without v. Default: the installed version, or the newest if none is installed; with a bundle, the bundle's version, except on hosts that had their own. */
  tailscaleVersion?: string;
}

export interface LanArgs {
  /** The IPv4 network of the node addresses. */
  cidr?: string;
  /** The interface with the node address. A name, or a prefix followed by a plus sign. */
  interface?: string;
  /** Whether the nodes' interfaces may leave checksums to their NICs. false turns the offload off. Default: true. */
  checksumOffload?: boolean;
}

export interface EndpointArgs {
  /** Address of the API. In a tailnet, an unused IPv4 address that the program puts on the loopback of every control plane and advertises to the tailnet. Default: 10.200.0.1, or what network.number makes it. In a LAN, the IPv4 address or DNS name of a control plane or of a load balancer, or with kind vip an unused IPv4 address of the nodes' own network; required. */
  address?: string;
  /** With nodeNetwork lan, the kind of the address. external (you provide it), or vip (a virtual IP: the program keeps it on one control plane with a ready API server, which announces it with ARP). Default: external. */
  kind?: "external" | "vip";
  /** Port of the API at the endpoint. Default: 6443. */
  port?: number;
  /** With nodeNetwork lan, the port of the API servers behind a load balancer at the endpoint's port. In a tailnet, both ports are the same. Default: 6443. */
  apiServerPort?: number;
}

export interface NetworkArgs {
  /** Number of this cluster among those in one tailnet; each needs its own. From 1 on, it sets the networks: with N, podCidr is 10.(50+N).0.0/16, serviceCidr 10.(112+N).0.0/16 and, in a tailnet, endpoint.address 10.200.N.1. 0: the defaults. Default: 0. */
  number?: number;
  /** IPv4 network of all pods. Each node gets a /24 of it. Default: 10.50.0.0/16, or what number makes it. */
  podCidr?: string;
  /** IPv4 network of the services. Default: 10.96.0.0/12, or what number makes it. */
  serviceCidr?: string;
  /** How pods reach pods on other nodes. native (pod networks are routes, in a tailnet the tailnet's) or vxlan (a tunnel, much slower over a tailnet). Default: native in a tailnet, vxlan in a LAN. */
  podRouting?: "native" | "vxlan";
  /** UDP port of the tunnel with podRouting vxlan. Default: 8472. */
  tunnelPort?: number;
}

export interface LoadBalancerArgs {
  /** IPv4 network of their addresses; the first and the last address stay unused. In a tailnet, a private network that nothing else uses. In a LAN, an unused part of the nodes' own network. Without it, such services get no address. */
  cidr?: string;
}

export interface KubernetesArgs {
  /** Kubernetes version, without v. Default: 1.37.2. */
  version?: string;
  /** containerd version on the hosts, without v. Default: the installed version, or the newest containerd.io package from download.docker.com if none is installed; with a bundle, the bundle's version, except on hosts that had their own. */
  containerdVersion?: string;
  /** Any text, such as today's date. Changing it renews the control planes' certificates. */
  certificateRenewal?: string;
  /** Number of workers that may be drained and upgraded at the same time. Control planes are upgraded one at a time. Default: 1. */
  maxUnavailableWorkers?: number;
  /** Time limit in seconds for draining a node before it is upgraded or removed. 0 means no drain. Default: 300. */
  drainSeconds?: number;
  /** Absolute path of an etcd snapshot on the first control plane. If no control plane of the cluster is left, the program restores the cluster from it. */
  restoreSnapshot?: string;
  /** Settings of the API servers (kube-apiserver). */
  apiServer?: ComponentArgs;
  /** Settings of the controller managers (kube-controller-manager). */
  controllerManager?: ComponentArgs;
  /** Settings of the schedulers (kube-scheduler). */
  scheduler?: ComponentArgs;
  /** Settings of etcd. */
  etcd?: {
    /** Arguments of etcd. A name may be there several times. Default: []. */
    extraArgs?: Array<ArgumentArgs>;
    /** Longest average round-trip time between two control planes, in milliseconds. etcd's heartbeat interval and election time-out follow from it (docs/operate/wan.md). Default: etcd's own, for up to 100 ms. */
    roundTripMilliseconds?: number;
  };
  /** Fields of KubeletConfiguration (kubelet.config.k8s.io/v1beta1) for all nodes. */
  kubelet?: Record<string, unknown>;
  /** Feature gates of the API servers, controller managers, schedulers and kubelets. */
  featureGates?: Record<string, unknown>;
  /** OpenID Connect issuers whose tokens API servers accept. Default: []. */
  oidc?: Array<OidcArgs>;
}

export interface ComponentArgs {
  /** Arguments of the API servers (kube-apiserver). A name may be there several times. Default: []. */
  extraArgs?: Array<ArgumentArgs>;
  /** Files that it can read, in /etc/kubernetes/tailkube/api-server on each control plane. An argument or another file must name them. Default: []. */
  extraFiles?: Array<ExtraFileArgs>;
}

export interface ArgumentArgs {
  /** Name of the argument, without its dashes. */
  name: string;
  /** Its value. Anyone on a control plane can read it in the list of processes: put secrets into extraFiles. */
  value: string;
}

export interface ExtraFileArgs {
  /** Name of the file in the component's folder. */
  name: string;
  /** Its content. May be a secret. */
  content: Input<string>;
}

export interface OidcArgs {
  /** URL of the issuer, exactly as in the claim iss of its tokens. */
  issuerUrl: string;
  /** The client IDs for which tokens are accepted (claim aud). */
  audiences: Array<string>;
  /** CA certificates of the issuer, PEM. Default: those in the API server's image. */
  ca?: string;
  /** The claim with the user's name. Default: sub. */
  usernameClaim?: string;
  /** Precedes each user's name. Default: oidc:. */
  usernamePrefix?: string;
  /** The claim with the user's groups. Default: none. */
  groupsClaim?: string;
  /** Precedes the name of each group. Default: oidc:. */
  groupsPrefix?: string;
  /** Claims that a token must have, with their values. */
  requiredClaims?: Record<string, unknown>;
}

export interface CiliumArgs {
  /** Version of the Cilium chart, without v. Default: 1.20.2. */
  version?: string;
  /** Path of a Cilium chart on this machine, instead of the one at https://helm.cilium.io. */
  chart?: string;
  /** Values of the Cilium chart, merged over the program's own. */
  values?: Record<string, unknown>;
}

export interface HubbleArgs {
  /** Whether the cluster runs Hubble's relay, which shows the flows of all nodes in one place. Default: false. */
  relay?: boolean;
  /** Whether it also runs Hubble's UI, a service map in a browser. It needs the relay. Default: false. */
  ui?: boolean;
}

export interface SshArgs {
  /** SSH user on hosts without their own; root, or a user with sudo. Default: root. */
  user?: string;
  /** SSH port of hosts without their own. Default: 22. */
  port?: number;
  /** File on this machine with the private SSH key, relative to the project. */
  privateKeyFile?: string;
  /** File on this machine with the passphrase of the private SSH keys, relative to the project. */
  privateKeyPassphraseFile?: string;
  /** File on this machine with the hosts' sudo password, relative to the project. */
  sudoPasswordFile?: string;
  /** File on this machine with the lines of sudoPasswords, relative to the project. */
  sudoPasswordsFile?: string;
  /** Whether your ssh-agent (SSH_AUTH_SOCK) has the keys, instead of sshPrivateKey. Hosts and jump hosts with a privateKeyFile use that. Default: false. */
  agent?: boolean;
  /** Jump hosts on the way to hosts without their own, in their order. */
  via?: Array<JumpHostArgs>;
  /** File of OpenSSH's client in which each host.address is looked up, such as ~/.ssh/config. HostName, Port, User, IdentityFile and ProxyJump are used. */
  configFile?: string;
  /** Whether OpenSSH's client on this machine makes all connections to bare hosts. The program turns it on if another key needs it. Default: false. */
  openssh?: boolean;
}

export interface Ec2Args {
  /** AWS region. */
  region: string;
  /** IPv4 networks that may connect by SSH, including your machine's. */
  operatorCidrs: Array<string>;
  /** An existing VPC. By default, the program creates one. */
  vpcId?: string;
  /** Subnets of that VPC, one per zone; machines need outbound internet access from them. */
  subnetIds?: Array<string>;
  /** IPv4 network of a VPC that the program creates. Default: 10.20.0.0/16. */
  vpcCidr?: string;
  /** Whether any address may send to 41641/udp, for direct connections from devices elsewhere. Default: false. */
  openTailscalePort?: boolean;
  /** Which of a host's addresses your machine uses. private requires an existing VPC. Default: public. */
  operatorAddress?: "public" | "private";
  /** Instance type. Default: t3.medium or, for arm64, t4g.medium. */
  instanceType?: string;
  /** Architecture. Default: that of the instance type, otherwise amd64. */
  architecture?: "amd64" | "arm64";
  /** Operating system, with the publisher's newest image. debian is Debian 13, ubuntu is 26.04. Default: debian. */
  os?: "debian" | "ubuntu" | "ubuntu-24.04";
  /** Size of the root volumes in GiB. Default: 20. */
  rootVolumeGib?: number;
}

export interface MirrorsArgs {
  /** apt repositories that replace the official ones, by project. */
  packages?: {
    /** Replaces https://pkgs.k8s.io. */
    kubernetes?: PackageMirrorArgs;
    /** Replaces https://pkgs.tailscale.com. */
    tailscale?: PackageMirrorArgs;
    /** Replaces https://download.docker.com, the source of containerd.io. */
    docker?: PackageMirrorArgs;
  };
  /** Registries that containerd tries before the registry in an image's name. Default: []. */
  registries?: Array<{
    /** The registry in the names of the images. */
    name: string;
    /** Where its images are. containerd tries these in order, then the registry itself. A URL with a path is used unchanged and must include /v2. */
    endpoints: Array<string>;
    /** File on this machine with the CAs that sign the endpoints' certificates. Default: the hosts' own CAs. */
    caFile?: string;
  }>;
  /** File on this machine with the lines of registryCredentials, relative to the project. */
  registryCredentialsFile?: string;
  /** A Helm repository with Cilium's chart, instead of https://helm.cilium.io. */
  charts?: {
    /** Its URL, which has index.yaml below it. */
    url: string;
    /** File on this machine with the CAs that sign its certificate. */
    caFile?: string;
  };
  /** Replaces registry.k8s.io in the names of kubeadm's images, etcd, CoreDNS and pause. Cannot change in a running cluster. */
  imageRepository?: string;
}

export interface PackageMirrorArgs {
  /** Replaces the official address; paths below it are the same. */
  url: string;
  /** The key that signs it. Default: the official path below url. */
  keyUrl?: string;
}

export interface ProxyArgs {
  /** The proxy for http URLs. */
  http?: string;
  /** The proxy for https URLs, which must allow CONNECT. Default: proxy.http. */
  https?: string;
  /** What hosts reach without the proxy: DNS names with all names below them, IPv4 addresses and networks. The cluster's own are always among them. Default: []. */
  noProxy?: Array<string>;
  /** File on this machine with proxyCredentials, relative to the project. */
  credentialsFile?: string;
}

export interface SecurityArgs {
  /** Whether Secrets are encrypted in etcd and in its snapshots. Default: true. */
  secretsEncryption?: boolean;
  /** Whether API servers write an audit log to /var/log/kubernetes/audit on each control plane. Default: true. */
  auditLog?: boolean;
  /** What the API answers without credentials. health (only the health paths) or all (as with kubeadm). Default: health. */
  anonymousRequests?: "health" | "all";
  /** Whether kubelets use serving certificates from the cluster's CA, and API servers verify them. Default: true. */
  kubeletServingCertificates?: boolean;
  /** Whether containers without a seccomp profile get containerd's. Default: true. */
  seccompDefault?: boolean;
  /** Maximum number of processes in a pod. Default: 4096. */
  podPidsLimit?: number;
  /** Whether a Service may claim externalIPs, which let anyone who can create Services intercept other traffic. Default: false. */
  serviceExternalIPs?: boolean;
  /** The Pod Security Standard of namespaces without their own labels. Default: privileged. */
  podSecurity?: "privileged" | "baseline" | "restricted";
  /** Whether API servers limit events, so that they cannot fill etcd. Default: true. */
  eventRateLimit?: boolean;
  /** Whether API server, controller manager and scheduler serve profiles. Default: false. */
  profiling?: boolean;
  /** Whether service account tokens stay valid for a year, for old clients that never reload them. Default: false. */
  extendedTokens?: boolean;
}
