/**
 * The zod schemas of what a user writes. Each one's error text says what is allowed; `config/load.ts` makes whole sentences
 * of it.
 */
import { z } from "zod";
import { defaultVersions, oldestKubernetesMinor } from "../../model/releases";
import { isValues } from "../../model/merge";
import { ec2Schema } from "./ec2";
import { choice, network, text, wholeNumber, yesOrNo } from "./fields";
import { mirrorsSchema } from "./mirrors";
import { dnsLabel, interfacePattern, isHostAddress, nodeSchema, port, userName } from "./node";
import { securitySchema } from "./security";

/** Oldest Cilium minor (of 1.x) whose chart has the values that components/network/cilium/values.ts sets. */
export const oldestCiliumMinor = 15;
/** Tailscale's own coordination server. */
export const tailscaleLoginServer = "https://controlplane.tailscale.com";
export const defaultPodCidr = "10.50.0.0/16";
/** Of the nodes' devices. */
export const defaultTag = "tag:k8s";

/** IPv6's least MTU and Tailscale's default (https://tailscale.com/kb/1023). Bytes. */
export const smallestTailnetMtu = 1280;

const semver = /^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$/;

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

const freeForm = (allowed: string) => z.record(z.string(), z.unknown(), { error: allowed });

/** The keys of the stack's config that hold structure; all others hold text, a number or a boolean. */
export const structuredKeys: ReadonlySet<string> = new Set(["nodes", "ciliumValues", "ec2", "mirrors", "security"]);

/** What a user writes, key by key. Defaults are those that Pulumi.yaml names. */
export const stackSchema = z.object({
  clusterName: text(dnsLabel, "a DNS label: up to 63 of a-z, 0-9 and '-'").default("tailkube"),
  nodes: z.array(nodeSchema, { error: "a list of nodes, each with name, role and host" }),
  nodeNetwork: choice(["tailnet", "lan"]).default("tailnet"),
  nodeCidr: network(1, 30, "192.168.1.0/24").optional(),
  nodeInterface: interfacePattern().optional(),
  checksumOffload: yesOrNo().default(true),
  // A name is for a lan alone; see config/rules/lan.ts.
  endpoint: z
    .string()
    .refine(isHostAddress, { error: "an IPv4 address such as 10.200.0.1, in a lan also a DNS name" })
    .optional(),
  endpointPort: port().default(6443),
  apiServerPort: port().default(6443),
  // Prefix lengths that kubeadm takes (cmd/kubeadm/app/apis/kubeadm/validation). From /8 to /24 for kube-controller-manager's
  // /24 a node: PodSubnetNodeMaskMaxDiff = 16.
  podCidr: network(8, 24, defaultPodCidr).default(defaultPodCidr),
  // MaximumBitsForServiceSubnet = 20, MinimumAddressesInServiceSubnet = 10.
  serviceCidr: network(12, 28, "10.96.0.0/12").default("10.96.0.0/12"),
  podRouting: choice(["native", "vxlan"]).optional(),
  tunnelPort: port().default(8472),
  kubernetesVersion: version(oldestKubernetesMinor, defaultVersions.kubernetes).default(defaultVersions.kubernetes),
  tailscaleVersion: release("1.102.5").optional(),
  containerdVersion: release("2.2.1").optional(),
  certificateRenewal: z.string({ error: "a text such as today's date" }).default(""),
  drainSeconds: wholeNumber(0, 86400, "seconds").default(300),
  restoreSnapshot: hostPath("/var/lib/tailkube/snapshots/auto-20260131T120000Z-1.36.3.db").optional(),
  ciliumVersion: version(oldestCiliumMinor, defaultVersions.cilium).default(defaultVersions.cilium),
  ciliumChart: text(/^(?!\w+:\/\/)/, "a path on the operator's machine to a chart, not a URL").optional(),
  ciliumValues: freeForm("an object of values of the Cilium chart").default({}),
  tailnetLoginServer: text(/^https?:\/\/[^\s/]+/, `a URL such as ${tailscaleLoginServer}`).default(
    tailscaleLoginServer,
  ),
  tailnetTag: text(/^tag:[A-Za-z][A-Za-z0-9-]*$/, `a tag such as ${defaultTag}`).default(defaultTag),
  tailnetControlPlaneTag: text(/^tag:[A-Za-z][A-Za-z0-9-]*$/, "a tag such as tag:k8s-control-plane").optional(),
  tailnetMtu: wholeNumber(smallestTailnetMtu, 65535, "bytes").default(smallestTailnetMtu),
  tailnetAuthKey: z.string().optional(),
  tailnetAuthKeyFile: z.string().optional(),
  tailnetControlPlaneAuthKey: z.string().optional(),
  tailnetControlPlaneAuthKeyFile: z.string().optional(),
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
  mirrors: mirrorsSchema,
  registryCredentials: z.string().optional(),
  registryCredentialsFile: z.string().optional(),
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
