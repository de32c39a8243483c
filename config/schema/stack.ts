/**
 * The schema of a stack's config. The error text of each key's schema says what is allowed; model/problem.ts builds the sentence
 * around it.
 */
import { z } from "zod";
import { isValues } from "../../model/merge";
import { ec2Schema } from "./ec2";
import { choice, file, group, hostPath, key, port, text, yesOrNo } from "./fields";
import { mirrorsSchema } from "./mirrors";
import { proxySchema } from "./proxy";
import { endpointSchema, lanSchema, loadBalancerSchema, networkSchema } from "./networks";
import { dnsLabel, jumps, nodesSchema, userName } from "./node";
import { proxyCredentials, registryCredentials, sshSecrets, tailnetSecrets } from "./secrets";
import { securitySchema } from "./security";
import { ciliumSchema, hubbleSchema, kubernetesSchema } from "./software";
import { tailnetSchema } from "./tailnet";

const sshSchema = key(
  group(
    {
      user: key(userName().default("root"), "SSH user on hosts without their own; root, or a user with sudo."),
      port: key(port().default(22), "SSH port of hosts without their own."),
      privateKeyFile: key(file().optional(), "File on this machine with the private SSH key, relative to the project."),
      privateKeyPassphraseFile: key(
        file().optional(),
        "File on this machine with the passphrase of the private SSH keys, relative to the project.",
      ),
      sudoPasswordFile: key(
        file().optional(),
        "File on this machine with the hosts' sudo password, relative to the project.",
      ),
      sudoPasswordsFile: key(
        file().optional(),
        "File on this machine with the lines of sudoPasswords, relative to the project.",
      ),
      agent: key(
        yesOrNo().default(false),
        "Whether your ssh-agent (SSH_AUTH_SOCK) has the keys, instead of sshPrivateKey. Hosts and jump hosts with a privateKeyFile use " +
          "that.",
      ),
      via: key(jumps().optional(), "Jump hosts on the way to hosts without their own, in their order."),
      configFile: key(
        file().optional(),
        "File of OpenSSH's client in which each host.address is looked up, such as ~/.ssh/config. HostName, Port, User, IdentityFile " +
          "and ProxyJump are used.",
      ),
      openssh: key(
        yesOrNo().default(false),
        "Whether OpenSSH's client on this machine makes all connections to bare hosts. The program turns it on if another key needs it.",
      ),
    },
    "{ user: admin }",
  ),
  "How the program connects to hosts.",
  { title: "SshArgs", examples: [{ user: "admin", port: 2222, privateKeyFile: "~/.ssh/id_ed25519" }] },
);

export const defaultClusterName = "tailkube";

/** In the order of the reference. */
export const stackSchema = z.object({
  clusterName: key(
    text(dnsLabel, "a DNS label: up to 63 characters of a-z, 0-9 and '-'").default(defaultClusterName),
    "Name of the cluster in kubeconfigs.",
  ),
  nodes: nodesSchema,
  nodeNetwork: key(
    choice(["tailnet", "lan"]).default("tailnet"),
    "The network between the nodes. tailnet, or lan (the hosts' own network, without a tailnet).",
  ),
  tailnet: tailnetSchema,
  ...tailnetSecrets,
  lan: lanSchema,
  endpoint: endpointSchema,
  network: networkSchema,
  loadBalancer: loadBalancerSchema,
  kubernetes: kubernetesSchema,
  cilium: ciliumSchema,
  hubble: hubbleSchema,
  ssh: sshSchema,
  ...sshSecrets,
  // Pulumi.yaml's default; it means "not set".
  ec2: key(
    z.preprocess(
      (value) => (isValues(value) && Object.keys(value).length === 0 ? undefined : value),
      ec2Schema.optional(),
    ),
    "For hosts of kind ec2: where they are created, and what hosts have that do not set it themselves.",
    {
      title: "Ec2Args",
      examples: [{ region: "eu-central-1", operatorCidrs: ["198.51.100.7/32"], architecture: "arm64" }],
    },
  ),
  bundle: key(
    hostPath("/opt/tailkube-bundle").optional(),
    "Absolute path of an offline bundle on the hosts. Empty means distribution packages.",
  ),
  mirrors: mirrorsSchema,
  registryCredentials,
  proxy: proxySchema,
  proxyCredentials,
  hostProfile: key(
    file().optional(),
    "File on this machine that describes how unusual hosts differ, relative to the project.",
  ),
  operatorEndpoint: key(
    choice(["host", "tailnet", "endpoint"]).default("host"),
    "How this machine reaches the API. host (SSH address of the first control plane), tailnet (its tailnet address) or endpoint.",
  ),
  security: securitySchema,
  checks: key(yesOrNo().default(true), "Whether the program checks the cluster at the end of each up."),
});

export type StackValues = z.output<typeof stackSchema>;

/** The keys that hold an object or a list; all others hold text, a number or a boolean. */
export const structuredKeys: ReadonlySet<string> = new Set(
  Object.entries(stackSchema.shape).flatMap(([name, schema]) => (holdsStructure(schema) ? [name] : [])),
);

interface Inner {
  def: { type: string; innerType?: Inner; out?: Inner };
}

/** Whether a schema inside defaults, `.optional()` and preprocessing is that of an object or a list. */
function holdsStructure(schema: z.ZodType): boolean {
  let at = schema as unknown as Inner;
  for (let inner: Inner | undefined = at; inner !== undefined; inner = at.def.innerType ?? at.def.out) at = inner;
  return ["object", "array", "record"].includes(at.def.type);
}
