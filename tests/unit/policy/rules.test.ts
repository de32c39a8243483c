import { expect } from "chai";
import { deleteNeedsDeletedWith, hostKeyPinned, secretsByStdin } from "../../../policy/commands";
import { ec2EncryptedDisks, ec2InstanceMetadata, ec2NotPublic, ec2RulesJustified } from "../../../policy/ec2";
import { type CheckedResource, type Rule, unknown } from "../../../policy/rule";
import { rules } from "../../../policy/rules";
import { holdsSecret } from "../../../policy/secret-text";
import { secretOutputs, secretsMarked } from "../../../policy/secrets";
import { encryptionConfiguration, encryptionKey } from "../../../components/kubernetes/hardening/files";
import { authKey, privateKey } from "../config/fixtures";
import { keyPair } from "../components/hosts/ec2/fixtures";

const remote = "command:remote:Command";
const local = "command:local:Command";
const instance = "aws:ec2/instance:Instance";
const ingress = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule";
const group = "aws:ec2/securityGroup:SecurityGroup";

const pinned = { host: "192.0.2.11", user: "root", hostKey: "ssh-ed25519 AAAA" };
const kubeconfig = "users: [{user: {client-key-data: " + Buffer.from(privateKey).toString("base64") + "}}]";
const token = "abcdef.0123456789abcdef";
const encryption = encryptionConfiguration(encryptionKey("5eed".repeat(16)), true);

function violations(rule: Rule, type: string, properties: object, more: Partial<CheckedResource> = {}): string[] {
  return rule.violations({
    type,
    name: "it",
    properties: properties as Record<string, unknown>,
    secretInputs: new Set(),
    additionalSecretOutputs: [],
    ...more,
  });
}

interface Case {
  what: string;
  type: string;
  properties: object;
  more?: Partial<CheckedResource>;
  /** One for each violation; none where it passes. */
  refused?: RegExp[];
}

function cases(rule: Rule, all: Case[]): void {
  describe(rule.name, () => {
    for (const { what, type, properties, more, refused = [] } of all) {
      it(`${refused.length > 0 ? "refuses" : "takes"} ${what}`, () => {
        const found = violations(rule, type, properties, more);
        expect(found).to.have.lengthOf(refused.length);
        refused.forEach((line, i) => expect(found[i]).to.match(line));
      });
    }
    expect(rules).to.include(rule);
    expect(all.some(({ refused }) => refused) && all.some(({ refused }) => !refused), rule.name).to.equal(true);
  });
}

const secret = (...keys: string[]): Partial<CheckedResource> => ({ secretInputs: new Set(keys) });

cases(hostKeyPinned, [
  { what: "a pinned host", type: remote, properties: { connection: pinned } },
  { what: "a key that is not known yet", type: remote, properties: { connection: { ...pinned, hostKey: unknown } } },
  { what: "a connection that is not known yet", type: remote, properties: { connection: unknown } },
  {
    what: "what the provider makes of such a connection",
    type: remote,
    properties: { connection: { host: "", port: 22, user: "root" } },
  },
  { what: "a command on this machine", type: local, properties: { create: "true" } },
  {
    what: "a host without a key",
    type: remote,
    properties: { connection: { host: "192.0.2.11" } },
    refused: [/^connection\.hostKey is not set/],
  },
  { what: "an empty key", type: remote, properties: { connection: { ...pinned, hostKey: "" } }, refused: [/hostKey/] },
  { what: "no connection", type: remote, properties: {}, refused: [/^it has no connection$/] },
  {
    what: "a jump host without a key",
    type: remote,
    properties: { connection: { ...pinned, proxy: { host: "192.0.2.1" } } },
    refused: [/^connection\.proxy\.hostKey is not set/],
  },
  {
    what: "files for a host without a key",
    type: "command:remote:CopyToRemote",
    properties: { connection: { host: "192.0.2.11" } },
    refused: [/^connection\.hostKey/],
  },
]);

cases(secretsByStdin, [
  {
    what: "secrets by stdin, and the key to log in by",
    type: remote,
    properties: { connection: { ...pinned, privateKey }, create: "bash -s", stdin: authKey, logging: "none" },
    more: secret("stdin", "connection"),
  },
  { what: "a log of errors alone", type: local, properties: { stdin: "x", logging: "stderr" }, more: secret("stdin") },
  { what: "a log where nothing is secret", type: local, properties: { create: "true", stdin: "x" } },
  { what: "a secret of what is no command", type: instance, properties: { userData: privateKey } },
  { what: "a command that is not known yet", type: remote, properties: { create: unknown, logging: unknown } },
  ...["create", "update", "delete", "environment", "triggers"].map((key) => ({
    what: `what is marked as secret in ${key}`,
    type: remote,
    properties: { [key]: "hunter2" },
    more: secret(key),
    refused: [new RegExp(`^${key} contains a secret\\. Pass it through stdin\\.$`)],
  })),
  ...[authKey, privateKey, token, kubeconfig].map((text) => ({
    what: `a secret that nobody marked: ${text.split("\n")[0]!.slice(0, 12)}…`,
    type: local,
    properties: { environment: { KEY: `of ${text} or so` }, create: "true" },
    refused: [/^environment contains a secret/],
  })),
  {
    what: "a log of what the command makes of its secrets",
    type: remote,
    properties: { create: "bash -s", stdin: "x" },
    more: secret("stdin"),
    refused: [/^its stdin is secret and its stdout is logged/],
  },
]);

cases(deleteNeedsDeletedWith, [
  { what: "a command without a delete", type: remote, properties: { create: "true" } },
  { what: "a delete on this machine", type: local, properties: { delete: "true" } },
  {
    what: "a delete that goes with its machine",
    type: remote,
    properties: { delete: "true" },
    more: { deletedWith: "urn:pulumi:test::tailkube::aws:ec2/instance:Instance::cp1" },
  },
  {
    what: "a delete that a dead host would hold up",
    type: remote,
    properties: { create: "true", delete: "true" },
    refused: [/^its delete fails forever if the host is dead/],
  },
  { what: "a delete that is not known yet", type: remote, properties: { delete: unknown }, refused: [/^its delete/] },
]);

cases(secretsMarked, [
  { what: "keys that are marked", type: remote, properties: { stdin: authKey }, more: secret("stdin") },
  { what: "a text that is no secret", type: remote, properties: { stdin: "apt-get install containerd" } },
  { what: "a connection with nothing to hide", type: remote, properties: { connection: pinned } },
  {
    what: "a provider's kubeconfig that is marked",
    type: "pulumi:providers:kubernetes",
    properties: { kubeconfig: "x" },
    more: secret("kubeconfig"),
  },
  ...[privateKey, keyPair().privateKey, keyPair("rsa").privateKey, authKey, token, kubeconfig, encryption].map(
    (text) => ({
      what: `${text.split("\n")[0]!.slice(0, 30)}… in plain`,
      type: "kubernetes:core/v1:ConfigMap",
      properties: { data: { file: text } },
      refused: [/^data contains a secret and is not marked as one\./],
    }),
  ),
  {
    what: "a provider's kubeconfig in plain, whatever it holds",
    type: "pulumi:providers:kubernetes",
    properties: { kubeconfig: "https://192.0.2.11:6443" },
    refused: [/^kubeconfig contains a secret/],
  },
  {
    what: "the key of a tailnet's API in plain, whatever it looks like",
    type: "pulumi:providers:tailscale",
    properties: { baseUrl: "https://api.tailscale.com", apiKey: "x" },
    refused: [/^apiKey contains a secret/],
  },
  {
    what: "a kubeconfig that is not known yet",
    type: "pulumi:providers:kubernetes",
    properties: { kubeconfig: unknown },
  },
  {
    what: "a machine's user data in plain",
    type: instance,
    properties: { userData: "#cloud-config" },
    refused: [/^userData contains a secret/],
  },
  {
    what: "a password to log in by in plain",
    type: remote,
    properties: { connection: { ...pinned, password: "x" } },
    refused: [/^connection contains a secret/],
  },
]);

cases(secretOutputs, [
  { what: "an answer without secrets", type: remote, properties: { stdout: '{"changed":[]}' } },
  {
    what: "secrets that are named",
    type: remote,
    properties: { stdout: privateKey, stderr: "" },
    more: { additionalSecretOutputs: ["stdout", "stderr"] },
  },
  { what: "a secret input that comes back", type: remote, properties: { stdin: authKey }, more: secret("stdin") },
  {
    what: "keys in an answer that is in plain",
    type: remote,
    properties: { stdout: `{"caKey":${JSON.stringify(privateKey)}}` },
    refused: [/^its output stdout contains a secret that is not encrypted/],
  },
  { what: "a kubeconfig in one", type: remote, properties: { stdout: kubeconfig }, refused: [/^its output stdout/] },
  {
    what: "a token in one",
    type: local,
    properties: { stderr: `joined by ${token}` },
    refused: [/^its output stderr/],
  },
]);

const open = (changes: object) => ({ ipProtocol: "tcp", fromPort: 22, toPort: 22, cidrIpv4: "0.0.0.0/0", ...changes });

cases(ec2NotPublic, [
  { what: "SSH from one network", type: ingress, properties: open({ cidrIpv4: "198.51.100.0/24" }) },
  { what: "SSH from a private network, however large", type: ingress, properties: open({ cidrIpv4: "10.0.0.0/8" }) },
  {
    what: "Tailscale from the world",
    type: ingress,
    properties: open({ ipProtocol: "udp", fromPort: 41641, toPort: 41641 }),
  },
  {
    what: "what a group lets in of its own",
    type: ingress,
    properties: { ipProtocol: "-1", referencedSecurityGroupId: "sg" },
  },
  { what: "a network that is not known yet", type: ingress, properties: open({ cidrIpv4: unknown }) },
  { what: "a way out", type: "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", properties: open({}) },
  {
    what: "a way out of the older kind",
    type: "aws:ec2/securityGroupRule:SecurityGroupRule",
    properties: { type: "egress", cidrBlocks: ["0.0.0.0/0"] },
  },
  { what: "SSH from the world", type: ingress, properties: open({}), refused: [/^tcp 22-22 is open to the world/] },
  { what: "SSH from half of it", type: ingress, properties: open({ cidrIpv4: "128.0.0.0/1" }), refused: [/^tcp 22/] },
  {
    what: "SSH from the world by IPv6",
    type: ingress,
    properties: { ...open({}), cidrIpv4: undefined, cidrIpv6: "::/0" },
    refused: [/^tcp/],
  },
  {
    what: "the API from the world",
    type: ingress,
    properties: open({ fromPort: 6443, toPort: 6443 }),
    refused: [/^tcp 6443/],
  },
  {
    what: "all from the world",
    type: ingress,
    properties: { ipProtocol: "-1", cidrIpv4: "0.0.0.0/0" },
    refused: [/^-1 all-all/],
  },
  {
    what: "more ports than Tailscale's",
    type: ingress,
    properties: open({ ipProtocol: "udp", fromPort: 41641, toPort: 41642 }),
    refused: [/^udp 41641-41642/],
  },
  {
    what: "SSH from the world in a group's own list",
    type: group,
    properties: { ingress: [{ protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: ["192.0.2.0/24", "0.0.0.0/0"] }] },
    refused: [/^tcp 22-22/],
  },
  {
    what: "SSH from the world in a rule of the older kind",
    type: "aws:ec2/securityGroupRule:SecurityGroupRule",
    properties: { type: "ingress", protocol: "tcp", fromPort: 22, toPort: 22, cidrBlocks: ["0.0.0.0/0"] },
    refused: [/^tcp 22-22/],
  },
]);

cases(ec2RulesJustified, [
  { what: "a rule with a reason", type: ingress, properties: open({ description: "SSH from the operator" }) },
  {
    what: "a way out without one",
    type: "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    properties: open({}),
  },
  { what: "a rule without one", type: ingress, properties: open({}), refused: [/has no description/] },
  { what: "an empty one", type: ingress, properties: open({ description: " " }), refused: [/has no description/] },
]);

cases(ec2EncryptedDisks, [
  { what: "encrypted disks", type: instance, properties: { rootBlockDevice: { encrypted: true } } },
  { what: "disks that are not known yet", type: instance, properties: { rootBlockDevice: unknown } },
  { what: "an encrypted volume", type: "aws:ebs/volume:Volume", properties: { encrypted: true } },
  { what: "what is no disk", type: group, properties: {} },
  {
    what: "the image's own root volume",
    type: instance,
    properties: {},
    refused: [/^rootBlockDevice is not encrypted/],
  },
  {
    what: "a plain root volume",
    type: instance,
    properties: { rootBlockDevice: { encrypted: false } },
    refused: [/^root/],
  },
  {
    what: "a plain further volume",
    type: instance,
    properties: { rootBlockDevice: { encrypted: true }, ebsBlockDevices: [{ encrypted: true }, { volumeSize: 5 }] },
    refused: [/^ebsBlockDevices\[1\] is not encrypted/],
  },
  { what: "a plain volume", type: "aws:ebs/volume:Volume", properties: { size: 5 }, refused: [/^the volume/] },
]);

cases(ec2InstanceMetadata, [
  {
    what: "tokens, and answers that no router passes on",
    type: instance,
    properties: { metadataOptions: { httpTokens: "required", httpPutResponseHopLimit: 1 } },
  },
  { what: "no metadata at all", type: instance, properties: { metadataOptions: { httpEndpoint: "disabled" } } },
  { what: "what is not known yet", type: instance, properties: { metadataOptions: unknown } },
  { what: "what is no instance", type: group, properties: {} },
  { what: "EC2's own defaults", type: instance, properties: {}, refused: [/httpTokens/, /httpPutResponseHopLimit/] },
  {
    what: "questions without a token",
    type: instance,
    properties: { metadataOptions: { httpTokens: "optional", httpPutResponseHopLimit: 1 } },
    refused: [/^metadataOptions\.httpTokens is not required/],
  },
  {
    what: "answers that reach pods",
    type: instance,
    properties: { metadataOptions: { httpTokens: "required", httpPutResponseHopLimit: 2 } },
    refused: [/^metadataOptions\.httpPutResponseHopLimit is not 1/],
  },
]);

describe("every rule", () => {
  it("has a name of its own, and quotes no secret", () => {
    expect(new Set(rules.map(({ name }) => name)).size).to.equal(rules.length);
    for (const rule of rules) {
      const properties = {
        connection: { privateKey },
        create: authKey,
        stdin: token,
        stdout: kubeconfig,
        delete: authKey,
      };
      const lines = violations(rule, remote, properties).join();
      for (const text of [privateKey, authKey, token]) expect(lines, rule.name).to.not.include(text);
    }
  });

  it("knows a secret by its look, and takes nothing else for one", () => {
    const plain = [
      ...[
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "tskey-",
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
      ],
      ...["kube-system.coredns", "docker.io/cilium/cilium", "abcdef.0123456789abcdefg", "sha256:975dff0efb0593f2"],
    ];
    expect(plain.filter(holdsSecret)).to.deep.equal([]);
  });
});
