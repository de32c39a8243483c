/**
 * Certificate requests (RFC 2986) written byte by byte, honest ones as kubelets make them and hostile ones that no ordinary
 * tool makes. The unit tests give them to the approver, the lab test to a real API server.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

const bytes = (...numbers: number[]) => Buffer.from(numbers);

/** An element in DER: tag, length, content. */
export function element(tag: number, ...content: Buffer[]): Buffer {
  const all = Buffer.concat(content);
  const size = all.length;
  const length =
    size < 128 ? bytes(size) : size < 256 ? bytes(0x81, size) : size < 65536 ? bytes(0x82, size >> 8, size & 255) : bytes(0x83, size >> 16, (size >> 8) & 255, size & 255); // prettier-ignore
  return Buffer.concat([bytes(tag), length, all]);
}

const sequence = (...content: Buffer[]) => element(0x30, ...content);
const set = (...content: Buffer[]) => element(0x31, ...content);
const octets = (...content: Buffer[]) => element(0x04, ...content);
const oid = (hex: string) => element(0x06, Buffer.from(hex, "hex"));

const oids = {
  organisation: "55040a",
  unit: "55040b",
  commonName: "550403",
  email: "2a864886f70d010901",
  names: "551d11",
  basicConstraints: "551d13",
  extensions: "2a864886f70d01090e",
  challenge: "2a864886f70d010907",
  unknown: "2b060104018f0001",
};

export type Pair = [type: keyof typeof oids, value: string];
/** PrintableString, as Go writes what fits into it, or UTF8String. */
export const printable = 0x13;
export const utf8 = 0x0c;

const pair = ([type, value]: Pair, tag: number) => sequence(oid(oids[type]), element(tag, Buffer.from(value)));
/** A name of a certificate: one attribute in each of its parts. */
export const subjectOf = (pairs: readonly Pair[], tag = printable) =>
  sequence(...pairs.map((one) => set(pair(one, tag))));

export const dns = (name: string) => element(0x82, Buffer.from(name));
export const ip = (address: string) => element(0x87, bytes(...address.split(".").map(Number)));
const mail = (address: string) => element(0x81, Buffer.from(address));
const uri = (address: string) => element(0x86, Buffer.from(address));

export const namesExtension = (...names: Buffer[]) => sequence(oid(oids.names), octets(sequence(...names)));
const criticalNames = (...names: Buffer[]) =>
  sequence(oid(oids.names), element(0x01, bytes(0xff)), octets(sequence(...names)));
const authority = sequence(oid(oids.basicConstraints), element(0x01, bytes(0xff)), octets(sequence(element(0x01, bytes(0xff))))); // prettier-ignore

/** The attribute that asks for extensions. */
export const asking = (...extensions: Buffer[]) => sequence(oid(oids.extensions), set(sequence(...extensions)));

const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));

export interface RequestParts {
  subject: Buffer;
  attributes?: Buffer[];
  version?: number;
  /** Bytes between the attributes and the end of what is signed. */
  extra?: Buffer;
  key?: { publicKey: KeyObject; privateKey: KeyObject };
}

let keys: { publicKey: KeyObject; privateKey: KeyObject } | undefined;

/** A signed request, as DER. */
export function requestDer({ subject, attributes = [], version = 0, extra, key }: RequestParts): Buffer {
  const { publicKey, privateKey } = key ?? (keys ??= generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const info = sequence(
    element(0x02, bytes(version)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    element(0xa0, ...attributes),
    ...(extra === undefined ? [] : [extra]),
  );
  return sequence(info, ecdsaWithSha256, element(0x03, bytes(0), sign("sha256", info, privateKey)));
}

export function pem(der: Buffer, label = "CERTIFICATE REQUEST"): string {
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

export const requestPem = (parts: RequestParts) => pem(requestDer(parts));

/** The object of a request, as far as its requester writes it. */
export interface CertificateRequest {
  name: string;
  signerName: string;
  usages: string[];
  /** What is in spec.request, before base64. */
  body: string;
}

/** An object that an approver has to leave alone. */
export interface HostileRequest extends CertificateRequest {
  kind: string;
  /** Set where it has to come from another user than the node itself. */
  username?: string;
  groups?: string[];
}

export const servingSigner = "kubernetes.io/kubelet-serving";
export const clientSigner = "kubernetes.io/kube-apiserver-client-kubelet";
const servingUsages = ["digital signature", "server auth"];
const clientUsages = ["digital signature", "client auth"];
export const nodeGroups = ["system:nodes", "system:authenticated"];

const nodeName = (node: string): Pair[] => [
  ["organisation", "system:nodes"],
  ["commonName", `system:node:${node}`],
];

/** What the kubelet of a node asks for, to serve by. */
export function servingRequest(node: string, address: string, name: string): CertificateRequest {
  const attributes = [asking(namesExtension(dns(node), ip(address)))];
  const body = requestPem({ subject: subjectOf(nodeName(node)), attributes });
  return { name, signerName: servingSigner, usages: servingUsages, body };
}

/** What the kubelet of a node asks for when it joins, to be that node by. */
export function clientRequest(node: string, name: string): CertificateRequest {
  return {
    name,
    signerName: clientSigner,
    usages: clientUsages,
    body: requestPem({ subject: subjectOf(nodeName(node)) }),
  };
}

/** Requests for serving certificates, each hostile in one way. `other` is another node of the cluster. */
export function hostileServing(node: string, address: string, other: string, otherAddress: string): HostileRequest[] {
  const own = servingRequest(node, address, "");
  const subject = subjectOf(nodeName(node));
  const names = namesExtension(dns(node), ip(address));
  const attributes = [asking(names)];
  const victim = `${other}-victim`;
  // The shape of the lines that an approver may print and split again: F1 of the project's list of faults.
  const line = `${victim} system:node:${node} ${Buffer.from(own.body).toString("base64")} digital signature,server auth,`;
  const asks = (kind: string, parts: Partial<RequestParts>): Omit<HostileRequest, "name"> => ({
    ...own,
    kind,
    body: requestPem({ subject, attributes, ...parts }),
  });
  const says = (kind: string, more: Partial<HostileRequest>): Partial<HostileRequest> => ({ ...own, kind, ...more });
  const from = (kind: string, username: string, groups = nodeGroups) => says(kind, { username, groups });
  const san = (kind: string, ...all: Buffer[]) => asks(kind, { attributes: [asking(namesExtension(...all))] });
  const [organisation, commonName] = nodeName(node) as [Pair, Pair];
  const all: Partial<HostileRequest>[] = [
    // Users: line breaks, blanks and what a shell or a template could take for its own.
    from("a user with a line break that hides a request", `system:node:x\n${line}\ny`),
    from("a user that is a node and a line break", `system:node:${node}\n`),
    from("a user with a blank", `system:node:${node} x`),
    from("a user that ends with a blank", `system:node:${node} `),
    from("a user with a tab", `system:node:\t${node}`),
    from("a user with a separator", `system:node:${node}|x`),
    from("a user with a carriage return", `system:node:${node}\r`),
    from("a user that is a template", `system:node:{{.metadata.name}}`),
    from("a user that is a command", "system:node:$(touch /run/owned)`touch /run/owned`"),
    from("a user with an option", "system:node:--kubeconfig=/dev/null"),
    from("a user with a null byte", `system:node:${node}\0`),
    from("a user in capitals", `system:node:${node.toUpperCase()}`),
    from("a user with no name", "system:node:"),
    from("a user with a long name", `system:node:${"a".repeat(64)}`),
    from("a user of enormous length", `system:node:${"a".repeat(100_000)}`),
    from("another node", `system:node:${other}`),
    from("a service account", "system:serviceaccount:web:default", ["system:serviceaccounts"]),
    from("an administrator who is no node", "kubernetes-admin", ["system:masters"]),
    from("a bootstrap token", "system:bootstrap:abcdef", ["system:bootstrappers"]),
    from("a node's name without its group", `system:node:${node}`, ["system:authenticated"]),
    // Fields of the object.
    says("a name with a line break", { name: `a\n${line}\nb` }),
    says("a name with a blank", { name: `${victim} x` }),
    says("a name that is an option", { name: "--all" }),
    says("a name that is a template", { name: "{{.items}}" }),
    says("client authentication", { usages: clientUsages }),
    says("one usage more", { usages: [...servingUsages, "cert sign"] }),
    says("a usage with a line break", { usages: ["digital signature", `server auth,\n${line}\n`] }),
    says("no usage", { usages: [] }),
    says("a usage with a comma", { usages: ["digital signature,server auth"] }),
    says("an identity in the cluster", {
      signerName: "kubernetes.io/kube-apiserver-client",
      body: requestPem({ subject: subjectOf([["organisation", "kubeadm:cluster-admins"], ["commonName", "x"]]) }), // prettier-ignore
      usages: clientUsages,
    }),
    says("a signer with a line break", { signerName: `${servingSigner}\n${line}` }),
    says("another signer", { signerName: "example.com/kubelet-serving" }),
    // Names and addresses.
    san("another's name", dns(other), ip(otherAddress)),
    san("another's name as well", dns(node), dns(other), ip(address)),
    san("another's address", dns(node), ip(otherAddress)),
    san("another's address as well", dns(node), ip(address), ip(otherAddress)),
    san("the endpoint", dns(node), ip("10.200.0.1")),
    san("a name of the API", dns("kubernetes.default.svc"), ip(address)),
    san("its name twice", dns(node), dns(node), ip(address)),
    san("the address first", ip(address), dns(node)),
    san("a wildcard", dns("*"), ip(address)),
    san("its name with a line break", dns(`${node}\n`), ip(address)),
    san("its name with a null byte", dns(`${node}\0.example.com`), ip(address)),
    san("its name alone", dns(node)),
    san("its address alone", ip(address)),
    san("an address for a name", dns(address), ip(address)),
    san("mail", dns(node), mail("a@example.com"), ip(address)),
    san("a URI", dns(node), ip(address), uri("spiffe://x")),
    san("a directory name", dns(node), ip(address), element(0xa4, subject)),
    san("an address of 16 bytes", dns(node), element(0x87, Buffer.alloc(16))),
    san("no names at all"),
    // The extension and what stands beside it.
    asks("a critical extension", { attributes: [asking(criticalNames(dns(node), ip(address)))] }),
    asks("the extension twice", { attributes: [asking(names, namesExtension(dns(other), ip(otherAddress)))] }),
    asks("the same extension twice", { attributes: [asking(names, names)] }),
    asks("the attribute twice", { attributes: [asking(names), asking(namesExtension(dns(other)))] }),
    asks("an authority", { attributes: [asking(names, authority)] }),
    asks("the wanted names in an extension that means nothing", {
      attributes: [
        asking(sequence(oid(oids.unknown), octets(sequence(dns(node), ip(address)))), namesExtension(dns(other))),
      ],
    }),
    asks("a challenge password", { attributes: [asking(names), sequence(oid(oids.challenge), set(element(utf8, Buffer.from("x"))))] }), // prettier-ignore
    asks("no attribute", { attributes: [] }),
    asks("another version", { version: 1 }),
    asks("bytes after the attributes", { extra: element(0x05) }),
    // The subject.
    asks("another node's subject", { subject: subjectOf(nodeName(other)) }),
    asks("a longer subject", { subject: subjectOf(nodeName(`${node}1`)) }),
    asks("administrators as well", { subject: subjectOf([["organisation", "system:masters"], organisation, commonName]) }), // prettier-ignore
    asks("administrators instead", { subject: subjectOf([["organisation", "system:masters"], commonName]) }),
    asks("two organisations in one part", {
      subject: sequence(
        set(pair(organisation, printable), pair(["organisation", "system:masters"], printable)),
        set(pair(commonName, printable)),
      ),
    }),
    asks("two common names", {
      subject: subjectOf([organisation, ["commonName", `system:node:${other}`], commonName]),
    }),
    asks("mail in the subject", { subject: subjectOf([organisation, commonName, ["email", "a@example.com"]]) }),
    asks("a unit", { subject: subjectOf([organisation, ["unit", "x"], commonName]) }),
    asks("a subject with a line break", { subject: subjectOf(nodeName(`${node}\n${line}`), utf8) }),
    asks("a subject with a blank", { subject: subjectOf(nodeName(`${node} `)) }),
    asks("a subject in another string type", { subject: subjectOf(nodeName(node), 0x14) }),
    asks("an empty subject", { subject: sequence() }),
    // The text around it.
    says("two requests in one", { body: `${requestPem({ subject: subjectOf(nodeName(other)) })}${own.body}` }),
    says("a request behind another", { body: `${own.body}${requestPem({ subject: subjectOf(nodeName(other)) })}` }),
    says("a text before it", { body: `${line}\n${own.body}` }),
    says("a header", { body: own.body.replace("-----\n", "-----\nName: value\n\n") }),
    says("another label", { body: own.body.replaceAll("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") }),
    says("bytes behind the request", { body: pem(Buffer.concat([requestDer({ subject, attributes }), bytes(5, 0)])) }),
    says("half of it", { body: pem(requestDer({ subject, attributes }).subarray(0, 100)) }),
    says("no request", { body: "no request" }),
    says("an empty body", { body: "" }),
    says("a length in a longer form", { body: pem(longForm(requestDer({ subject, attributes }))) }),
    says("an oversized body", { body: `${own.body}${" ".repeat(1_000_000)}` }),
    asks("an oversized extension", { attributes: [asking(names, sequence(oid(oids.unknown), octets(Buffer.alloc(60_000))))] }), // prettier-ignore
  ];
  return all.map((one, i) => ({ ...own, ...one, name: one.name || `hostile-${i}` }) as HostileRequest);
}

/** The outermost length in four bytes where DER has to take as few as there can be. */
function longForm(der: Buffer): Buffer {
  const content = der.subarray(der[1]! < 128 ? 2 : der[1] === 0x81 ? 3 : 4);
  return Buffer.concat([bytes(0x30, 0x83, content.length >> 16, content.length >> 8, content.length & 255), content]);
}

/** Requests for a node's identity by a bootstrap token that was made for `node`, each hostile in one way. */
export function hostileClient(node: string, address: string, other: string): HostileRequest[] {
  const own = clientRequest(node, "");
  const subject = subjectOf(nodeName(node));
  const asks = (kind: string, parts: Partial<RequestParts>) => ({ kind, body: requestPem({ subject, ...parts }) });
  const [organisation, commonName] = nodeName(node) as [Pair, Pair];
  const all: (Partial<HostileRequest> & { kind: string })[] = [
    asks("another node", { subject: subjectOf(nodeName(other)) }),
    asks("a node with a line break", { subject: subjectOf(nodeName(`${node}\nx`), utf8) }),
    asks("a node that does not exist", { subject: subjectOf(nodeName("unheard-of")) }),
    asks("no node", { subject: subjectOf([organisation, ["commonName", "kubernetes-admin"]]) }),
    asks("administrators", { subject: subjectOf([["organisation", "system:masters"], commonName]) }),
    asks("administrators as well", { subject: subjectOf([organisation, ["organisation", "kubeadm:cluster-admins"], commonName]) }), // prettier-ignore
    asks("names", { attributes: [asking(namesExtension(dns(node), ip(address)))] }),
    asks("an authority", { attributes: [asking(authority)] }),
    { kind: "serving", usages: servingUsages },
    { kind: "one usage more", usages: [...clientUsages, "server auth"] },
    { kind: "an identity of any kind", signerName: "kubernetes.io/kube-apiserver-client" },
    { kind: "a name that is an option", name: "--all" },
    { kind: "another token", username: "system:bootstrap:zzzzzz" },
    { kind: "a token with a line break", username: "system:bootstrap:abcdef\n" },
    { kind: "a node", username: `system:node:${node}`, groups: nodeGroups },
    { kind: "a token of kubeadm's group", groups: ["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token"] }, // prettier-ignore
  ];
  return all.map((one, i) => ({ ...own, name: `hostile-client-${i}`, ...one }));
}
