/**
 * The shape of the program's config: the types the rest of the program works with, and the zod schemas of what a user
 * writes. Each schema's error text says what is allowed; `config/load.ts` makes whole sentences of it.
 */
import { z } from "zod";
import { isIPv4 } from "../plan/cidr";
import { isInterfacePattern } from "../plan/interfaces";
import { isValues } from "../plan/merge";
import { type Ec2Config, type Ec2HostConfig, ec2HostSchema, ec2Schema } from "./ec2";
import { choice, network, text, wholeNumber, yesOrNo } from "./fields";
import { type SecurityConfig, securitySchema } from "./security";

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
  /** What the node is registered with, kubeadm's defaults filled in (see `defaultTaints` in plan/nodes.ts). */
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
  /** Ids of checks in plan/preflight.ts that are not made. */
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
  /** Without the `v`. Absent: the bundle's, or what is installed, or else the distribution's. */
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

/** In plain; `config/pulumi.ts` turns them into Pulumi secrets at once. */
export interface Secrets {
  sshPrivateKey: string;
  /** Absent in a lan, and where the program makes the keys. */
  tailnetAuthKey?: string;
  /** Access token of the tailnet's API. Absent, as the next one: no device is deleted by it. */
  tailnetApiKey?: string;
  /** Secret of an OAuth client of the tailnet's API. */
  tailnetOauthClientSecret?: string;
}

export const emptyHostProfile: HostProfile = {
  kubelet: {},
  ignorePreflightErrors: [],
  containerd: { restrictOomScoreAdj: false },
  ciliumValues: {},
  skipHostChecks: [],
};

/**
 * Oldest Kubernetes minor that is accepted: kubeadm's v1beta4 documents came with 1.31
 * (https://kubernetes.io/blog/2024/08/23/kubernetes-1-31-kubeadm-v1beta4/).
 */
export const oldestKubernetesMinor = 31;
/** Newest Kubernetes minor that the program was tried with. */
export const newestKubernetesMinor = 36;
/** Oldest Cilium minor (of 1.x) whose chart has the values that plan/cilium.ts sets. */
export const oldestCiliumMinor = 15;
/** Tailscale's own coordination server. */
export const tailscaleLoginServer = "https://controlplane.tailscale.com";
/** IPv6's least MTU and Tailscale's default (https://tailscale.com/kb/1023). Bytes. */
export const smallestTailnetMtu = 1280;

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const dnsName =
  /^(?=.{1,253}$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*$/;
const semver = /^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

function version(oldestMinor: number, example: string) {
  const allowed = `a version without v, 1.${oldestMinor}.0 or newer, such as ${example}`;
  return z.string({ error: allowed }).refine(
    (value) => {
      const parts = semver.exec(value);
      return parts !== null && parts[1] === "1" && Number(parts[2]) >= oldestMinor;
    },
    { error: allowed },
  );
}

/** A version of a package that is released by three numbers. */
function release(example: string) {
  return text(/^\d+\.\d+\.\d+$/, `a version without v such as ${example}`);
}

/** It becomes part of shell scripts. */
function hostPath(example: string) {
  return text(
    /^\/[A-Za-z0-9._/+@-]+$/,
    `an absolute path on the hosts, of letters, digits and . _ / + @ -, such as ${example}`,
  );
}

const port = () => wholeNumber(1, 65535, "a port");
const interfaceText = "the name of an interface such as eth1, or how names begin and a plus sign, such as enp+";
const interfacePattern = () => z.string({ error: interfaceText }).refine(isInterfacePattern, { error: interfaceText });
const freeForm = (allowed: string) => z.record(z.string(), z.unknown(), { error: allowed });
const hostAddress = "an IPv4 address or a DNS name";
const isHostAddress = (text: string) => (/^[\d.]+$/.test(text) ? isIPv4(text) : dnsName.test(text));
const userName = () => text(/^[a-z_][a-z0-9_.-]{0,31}$/i, "a user name such as root or admin");

const taint = z.strictObject(
  {
    key: text(labelKey, "a taint key such as example.com/dedicated"),
    value: text(labelValue, "up to 63 letters, digits, '-', '_' or '.'").optional(),
    effect: choice(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
  },
  { error: "an object with key, value and effect" },
);

const sshHost = z.strictObject(
  {
    kind: z.literal("ssh"),
    address: z.string({ error: hostAddress }).refine(isHostAddress, { error: hostAddress }),
    user: userName().optional(),
    port: port().optional(),
    hostKey: text(
      // No ssh-rsa: the provider would offer its SHA-1 signatures alone, which OpenSSH refuses since 8.8.
      /^(ssh-ed25519|ecdsa-sha2-[a-z0-9]+) [A-Za-z0-9+/]+={0,2}( .*)?$/,
      "a public host key as in /etc/ssh/ssh_host_ed25519_key.pub (ed25519 or ecdsa): ssh-ed25519 AAAA…",
    ).optional(),
    identity: z.string({ error: "a text" }).optional(),
  },
  { error: "an object with address and, where wanted, user, port, hostKey and identity" },
);

const host = z.preprocess(
  (value) => (isValues(value) && value.kind === undefined ? { ...value, kind: "ssh" } : value),
  z.discriminatedUnion("kind", [sshHost, ec2HostSchema], { error: hostError }),
);

function hostError(issue: { input?: unknown }): string {
  return isValues(issue.input) ? "ssh or ec2" : "an object with address, or with kind: ec2";
}

const labels = z.record(z.string(), z.unknown(), { error: "an object of label: value" }).superRefine((all, ctx) => {
  for (const [key, value] of Object.entries(all)) {
    const path = [key];
    if (!labelKey.test(key)) {
      ctx.addIssue({ code: "custom", path, message: "a label key such as example.com/rack" });
    } else if (!mayKubeletSet(key)) {
      ctx.addIssue({ code: "custom", path, message: reservedLabel });
    } else if (typeof value !== "string" || !labelValue.test(value)) {
      ctx.addIssue({
        code: "custom",
        path,
        message: "up to 63 letters, digits, '-', '_' or '.', in quotes where it reads as a number or a boolean",
      });
    }
  }
});

const reservedLabel =
  "a label that a kubelet may set on its own node: outside kubernetes.io and k8s.io, or below node.kubernetes.io";

// k8s.io/kubelet/pkg/apis/well_known_labels.go. A kubelet started with any other kubernetes.io label exits.
const kubeletLabels = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
]);

function mayKubeletSet(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? "" : key.slice(0, slash);
  const below = (domain: string) => prefix === domain || prefix.endsWith(`.${domain}`);
  if (!below("kubernetes.io") && !below("k8s.io")) {
    return true;
  }
  return kubeletLabels.has(key) || below("node.kubernetes.io") || below("kubelet.kubernetes.io");
}

const nodeIpText = "an IPv4 address that the host has, such as 192.168.1.11";

const node = z.strictObject(
  {
    name: text(dnsLabel, "a DNS label: up to 63 of a-z, 0-9 and '-'"),
    role: choice(["control-plane", "worker"]),
    host,
    labels: labels.default({}),
    taints: z.array(taint, { error: "a list of taints" }).optional(),
    nodeIp: z.string({ error: nodeIpText }).refine(isIPv4, { error: nodeIpText }).optional(),
    nodeInterface: interfacePattern().optional(),
    checksumOffload: yesOrNo().optional(),
  },
  { error: "an object with name, role and host" },
);

/** The keys of the stack's config that hold structure; all others hold text, a number or a boolean. */
export const structuredKeys: ReadonlySet<string> = new Set(["nodes", "ciliumValues", "ec2", "security"]);

/** What a user writes, key by key. Defaults are those that Pulumi.yaml names. */
export const stackSchema = z.object({
  clusterName: text(dnsLabel, "a DNS label: up to 63 of a-z, 0-9 and '-'").default("tailkube"),
  nodes: z.array(node, { error: "a list of nodes, each with name, role and host" }),
  nodeNetwork: choice(["tailnet", "lan"]).default("tailnet"),
  nodeCidr: network(1, 30, "192.168.1.0/24").optional(),
  nodeInterface: interfacePattern().optional(),
  checksumOffload: yesOrNo().default(true),
  // A name is for a lan alone; see config/lan.ts.
  endpoint: z
    .string()
    .refine(isHostAddress, { error: "an IPv4 address such as 10.200.0.1, in a lan also a DNS name" })
    .optional(),
  endpointPort: port().default(6443),
  apiServerPort: port().default(6443),
  // Prefix lengths that kubeadm takes (cmd/kubeadm/app/apis/kubeadm/validation). From /8 to /24 for kube-controller-manager's
  // /24 a node: PodSubnetNodeMaskMaxDiff = 16.
  podCidr: network(8, 24, "10.50.0.0/16").default("10.50.0.0/16"),
  // MaximumBitsForServiceSubnet = 20, MinimumAddressesInServiceSubnet = 10.
  serviceCidr: network(12, 28, "10.96.0.0/12").default("10.96.0.0/12"),
  podRouting: choice(["native", "vxlan"]).optional(),
  tunnelPort: port().default(8472),
  kubernetesVersion: version(oldestKubernetesMinor, "1.36.3").default("1.36.3"),
  tailscaleVersion: release("1.102.5").optional(),
  containerdVersion: release("2.2.1").optional(),
  certificateRenewal: z.string({ error: "a text such as today's date" }).default(""),
  drainSeconds: wholeNumber(0, 86400, "seconds").default(300),
  restoreSnapshot: hostPath("/var/lib/tailkube/snapshots/auto-20260131T120000Z-1.36.3.db").optional(),
  ciliumVersion: version(oldestCiliumMinor, "1.15.19").default("1.15.19"),
  ciliumChart: text(/^(?!\w+:\/\/)/, "a path on the operator's machine to a chart, not a URL").optional(),
  ciliumValues: freeForm("an object of values of the Cilium chart").default({}),
  tailnetLoginServer: text(/^https?:\/\/[^\s/]+/, `a URL such as ${tailscaleLoginServer}`).default(
    tailscaleLoginServer,
  ),
  tailnetTag: text(/^tag:[A-Za-z][A-Za-z0-9-]*$/, "a tag such as tag:k8s").default("tag:k8s"),
  tailnetMtu: wholeNumber(smallestTailnetMtu, 65535, "bytes").default(smallestTailnetMtu),
  tailnetAuthKey: z.string().optional(),
  tailnetAuthKeyFile: z.string().optional(),
  tailnetApi: text(/^https?:\/\/[^\s/]+/, "a URL such as https://api.tailscale.com").default(
    "https://api.tailscale.com",
  ),
  tailnetApiKey: z.string().optional(),
  tailnetApiKeyFile: z.string().optional(),
  tailnetOauthClientId: text(/^[A-Za-z0-9]+$/, "the ID of an OAuth client, letters and digits").optional(),
  tailnetOauthClientSecret: z.string().optional(),
  tailnetOauthClientSecretFile: z.string().optional(),
  tailnetRouteApproval: choice(["none", "devices", "policy"]).optional(),
  tailnetPolicyFile: z.string().optional(),
  sshUser: userName().default("root"),
  sshPort: port().default(22),
  sshPrivateKey: z.string().optional(),
  sshPrivateKeyFile: z.string().optional(),
  // Pulumi.yaml's default, which stands for nothing.
  ec2: z.preprocess(
    (value) => (isValues(value) && Object.keys(value).length === 0 ? undefined : value),
    ec2Schema.optional(),
  ),
  bundle: hostPath("/opt/tailkube-bundle").optional(),
  hostProfile: z.string().optional(),
  operatorEndpoint: choice(["host", "tailnet", "endpoint"]).default("host"),
  security: securitySchema,
  checks: yesOrNo().default(true),
});

export type StackValues = z.output<typeof stackSchema>;

const ownKubeletFields = new Map([
  ["apiVersion", "it is the program's to say"],
  ["kind", "it is the program's to say"],
  ["cgroupDriver", "it is systemd, as containerd's"],
]);

/** What a host profile's file holds. */
export const hostProfileSchema = z.strictObject(
  {
    kubelet: freeForm("an object of fields of KubeletConfiguration")
      .superRefine((fields, ctx) => {
        for (const key of Object.keys(fields)) {
          const why = ownKubeletFields.get(key);
          if (why) {
            ctx.addIssue({ code: "custom", path: [key], message: `any other field of KubeletConfiguration (${why})` });
          }
        }
      })
      .default({}),
    ignorePreflightErrors: z
      .array(z.string({ error: "the name of a check" }), { error: "a list of names of kubeadm's preflight checks" })
      .default([]),
    imagePullPolicy: choice(["Never", "IfNotPresent", "Always"]).optional(),
    containerd: z
      .strictObject({ restrictOomScoreAdj: yesOrNo().default(false) }, { error: "an object with restrictOomScoreAdj" })
      .default({ restrictOomScoreAdj: false }),
    ciliumValues: freeForm("an object of values of the Cilium chart").default({}),
    skipHostChecks: z
      .array(z.string({ error: "the id of a check" }), { error: "a list of ids of host checks" })
      .default([]),
  },
  { error: "a YAML object" },
);
