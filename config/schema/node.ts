/** The `nodes` of a stack's config, and schemas that other keys share with them. */
import { z } from "zod";
import { isIPv4 } from "../../model/cidr";
import { isInterfacePattern } from "../../components/hosts/interfaces";
import { isValues } from "../../model/merge";
import { isAdministrators, mayKubeletSet } from "../../model/nodes";
import { ec2HostSchema } from "./ec2";
import { checkedText, choice, file, ipv4Address, key, list, object, port, text, yesOrNo } from "./fields";
import { kubeletFields } from "./kubernetes-settings";

export const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const dnsName =
  /^(?=.{1,253}$)[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*$/;
const labelKey = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

export const interfacePattern = () =>
  checkedText(isInterfacePattern, "an interface name such as eth1, or a prefix and a plus sign such as enp+");
export const isHostAddress = (text: string) => (/^[\d.]+$/.test(text) ? isIPv4(text) : dnsName.test(text));
export const userName = () => text(/^[a-z_][a-z0-9_.-]{0,31}$/i, "a user name such as root or admin");

const taint = object("an object with key, value and effect", {
  key: key(text(labelKey, "a taint key such as example.com/dedicated"), "Key of the taint."),
  value: key(text(labelValue, "up to 63 letters, digits, '-', '_' or '.'").optional(), "Value of the taint."),
  effect: key(choice(["NoSchedule", "PreferNoSchedule", "NoExecute"]), "What happens to pods that do not tolerate it."),
}).meta({ title: "TaintArgs" });

const identity = (words: string) => key(z.string({ error: "a text" }).optional(), words, { isInput: true });

// ssh-rsa is the key's type. The provider would offer only its SHA-1 signatures, which OpenSSH rejects since 8.8: OpenSSH's client is used.
const hostKeyPattern = /^(ssh-ed25519|ecdsa-sha2-[a-z0-9]+|ssh-rsa) [A-Za-z0-9+/]+={0,2}( .*)?$/;
const hostKeyText =
  "a public host key as in /etc/ssh/ssh_host_ed25519_key.pub (ed25519, ecdsa or rsa): ssh-ed25519 AAAA…";

const jump = z
  .strictObject(
    {
      address: key(
        checkedText(isHostAddress, "an IPv4 address or a DNS name"),
        "Where your machine, or the jump host before it, reaches it by SSH.",
      ),
      user: key(userName().optional(), "SSH user; a shell is not needed. Default: ssh.user."),
      port: key(port().optional(), "SSH port. Default: 22."),
      hostKey: key(
        text(hostKeyPattern, hostKeyText),
        "Its public SSH host key. Read it on the jump host's own console.",
      ),
      privateKeyFile: key(
        file().optional(),
        "File on this machine with its own private SSH key, relative to the project. Default: the stack's key.",
      ),
    },
    { error: "an object with address, hostKey and optionally user, port and privateKeyFile" },
  )
  .meta({ title: "JumpHostArgs" });

/** Jump hosts, in the order in which connections go through them. */
export const jumps = () => z.array(jump, { error: "a list of jump hosts, each with address and hostKey" });

const sshHost = z
  .strictObject(
    {
      kind: key(z.literal("ssh"), "An existing machine that is reached by SSH. Optional.", { isDefault: true }),
      address: key(
        checkedText(isHostAddress, "an IPv4 address or a DNS name"),
        "Where your machine reaches it by SSH. In a tailnet, this must not be a tailnet address.",
        { isInput: true },
      ),
      user: key(userName().optional(), "SSH user; root, or a user with sudo. Default: ssh.user."),
      port: key(port().optional(), "SSH port. Default: ssh.port."),
      hostKey: key(
        text(hostKeyPattern, hostKeyText).optional(),
        "Its public SSH host key. By default, the program pins the key of the first connection.",
        { isInput: true },
      ),
      via: key(
        jumps().optional(),
        "Jump hosts (bastions) on the way to it, in their order; an empty list for none. Default: ssh.via.",
      ),
      privateKeyFile: key(
        file().optional(),
        "File on this machine with its own private SSH key, relative to the project. Default: the stack's key.",
      ),
      identity: identity(
        "Changing this text declares that the name now stands for a different machine, and replaces the node.",
      ),
    },
    { error: "an object with address and optionally user, port, hostKey, via, privateKeyFile and identity" },
  )
  .meta({ title: "SshHostArgs" });

const host = z.preprocess(
  (value) => (isValues(value) && value.kind === undefined ? { ...value, kind: "ssh" } : value),
  z.discriminatedUnion("kind", [sshHost, ec2HostSchema], { error: hostError }),
);

function hostError(issue: { input?: unknown }): string {
  return isValues(issue.input) ? "ssh or ec2" : "an object with address, or with kind: ec2";
}

const labels = z
  .record(z.string(), z.unknown(), { error: "an object of labels and their values" })
  .superRefine((all, ctx) => {
    for (const [key, value] of Object.entries(all)) {
      const path = [key];
      if (!labelKey.test(key)) {
        ctx.addIssue({ code: "custom", path, message: "a label key such as example.com/rack" });
      } else if (!mayKubeletSet(key) && !isAdministrators(key)) {
        ctx.addIssue({ code: "custom", path, message: reservedLabel });
      } else if (typeof value !== "string" || !labelValue.test(value)) {
        ctx.addIssue({
          code: "custom",
          path,
          message: "up to 63 letters, digits, '-', '_' or '.', quoted if it looks like a number or a boolean",
        });
      }
    }
  });

const reservedLabel =
  "a label outside kubernetes.io and k8s.io, or below node.kubernetes.io, node-role.kubernetes.io (except control-plane) or " +
  "node-restriction.kubernetes.io";

const nodeSchema = object("an object with name, role and host", {
  name: key(
    text(dnsLabel, "a DNS label: up to 63 characters of a-z, 0-9 and '-'"),
    "Name of the Kubernetes node and of its device in the tailnet.",
  ),
  role: key(choice(["control-plane", "worker"]), "Use an odd number of control planes, because etcd needs a majority."),
  host: key(host, "The machine."),
  labels: key(
    labels.default({}),
    "Labels of the Kubernetes node. Of kubernetes.io and k8s.io, only those that a kubelet may set, and roles such as " +
      "node-role.kubernetes.io/storage.",
  ),
  taints: key(
    list("a list of taints", taint).optional(),
    "Taints of the Kubernetes node; an empty list for none. By default, control planes have kubeadm's if there is a worker.",
  ),
  kubelet: key(kubeletFields(), "Fields of KubeletConfiguration for this node alone, merged over kubernetes.kubelet."),
  nodeIp: key(
    ipv4Address("an IPv4 address that the host has, such as 192.168.1.11").optional(),
    "With nodeNetwork lan, the node IP itself, instead of lan.cidr and lan.interface.",
  ),
  nodeInterface: key(
    interfacePattern().optional(),
    "With nodeNetwork lan, the interface with the node IP, instead of lan.cidr and lan.interface.",
  ),
  checksumOffload: key(
    yesOrNo().optional(),
    "With nodeNetwork lan, whether this node's interface may leave checksums to its NIC. Default: lan.checksumOffload.",
  ),
}).meta({ title: "NodeArgs" });

export const nodesSchema = key(
  list("a list of nodes, each with name, role and host", nodeSchema),
  "The nodes. Control planes join in this order.",
  {
    examples: [
      [
        { name: "cp1", role: "control-plane", host: { address: "192.0.2.11" } },
        {
          name: "w1",
          role: "worker",
          host: { address: "w1.example.com", user: "admin", port: 2222 },
          labels: { "example.com/disk": "ssd" },
          taints: [{ key: "example.com/dedicated", value: "builds", effect: "NoSchedule" }],
        },
        { name: "w2", role: "worker", host: { kind: "ec2", instanceType: "m7g.large" } },
      ],
    ],
  },
);
