/** Rules about machines on EC2. */
import { tailscalePort } from "../components/hosts/ec2/security-group-rules";
import { isObject, type Rule, unknown } from "./rule";

/** What lets packets in: one rule of a security group, whichever way it is written. */
interface Opening {
  protocol: unknown;
  from: unknown;
  to: unknown;
  cidrs: unknown[];
  description: unknown;
}

function openings(type: string, properties: Readonly<Record<string, unknown>>): Opening[] {
  const legacy = (rule: Record<string, unknown>): Opening => ({
    protocol: rule.protocol,
    from: rule.fromPort,
    to: rule.toPort,
    cidrs: [rule.cidrBlocks, rule.ipv6CidrBlocks].flat().filter((cidr) => cidr !== undefined),
    description: rule.description,
  });
  switch (type) {
    case "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
      const { ipProtocol, fromPort, toPort, cidrIpv4, cidrIpv6, description } = properties;
      const cidrs = [cidrIpv4, cidrIpv6].filter((cidr) => cidr !== undefined);
      return [{ protocol: ipProtocol, from: fromPort, to: toPort, cidrs, description }];
    }
    case "aws:ec2/securityGroupRule:SecurityGroupRule":
      return properties.type === "ingress" ? [legacy(properties)] : [];
    case "aws:ec2/securityGroup:SecurityGroup":
    case "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup":
      return Array.isArray(properties.ingress) ? properties.ingress.filter(isObject).map(legacy) : [];
    default:
      return [];
  }
}

/** Shorter prefixes than these are more of the internet than any operator comes from. */
const shortestPrefix = { ipv4: 8, ipv6: 16 };
function isWorld(cidr: unknown): boolean {
  if (typeof cidr !== "string") return false;
  const prefix = Number(cidr.split("/")[1]);
  return prefix < (cidr.includes(":") ? shortestPrefix.ipv6 : shortestPrefix.ipv4);
}

// Engines give numbers, and nothing where the protocol has no ports.
const portText = (port: unknown) => (typeof port === "number" ? port : "all");

export const ec2NotPublic: Rule = {
  name: "ec2-not-public",
  description: "Only Tailscale's UDP port may be open to the world.",
  about: "inputs",
  violations({ type, properties }) {
    return openings(type, properties)
      .filter(({ cidrs }) => cidrs.some(isWorld))
      .filter(({ protocol, from, to }) => !(protocol === "udp" && from === tailscalePort && to === tailscalePort))
      .map(
        ({ protocol, from, to }) =>
          `${String(protocol)} ${portText(from)}-${portText(to)} is open to the world. Allowed: udp ${tailscalePort}. ` +
          "Name the networks that need it.",
      );
  },
};

export const ec2RulesJustified: Rule = {
  name: "ec2-rules-justified",
  description: "Every inbound rule of a security group has a description.",
  about: "inputs",
  violations({ type, properties }) {
    return openings(type, properties)
      .filter(
        ({ description }) => description !== unknown && (typeof description !== "string" || description.trim() === ""),
      )
      .map(() => "the inbound rule has no description. Say in one why it is needed.");
  },
};

export const ec2EncryptedDisks: Rule = {
  name: "ec2-encrypted-disks",
  description: "Disks are encrypted.",
  about: "inputs",
  violations({ type, properties }) {
    const isPlain = (disk: unknown) => !isObject(disk) || (disk.encrypted !== true && disk.encrypted !== unknown);
    if (type === "aws:ebs/volume:Volume") {
      return isPlain(properties) ? ["the volume is not encrypted. Set encrypted: true."] : [];
    }
    if (type !== "aws:ec2/instance:Instance") return [];
    const { rootBlockDevice: root, ebsBlockDevices: others } = properties;
    const disks: [string, unknown][] = [
      ["rootBlockDevice", root],
      ...(Array.isArray(others) ? others.map((disk, i): [string, unknown] => [`ebsBlockDevices[${i}]`, disk]) : []),
    ];
    return disks
      .filter(([, disk]) => disk !== unknown && isPlain(disk))
      .map(([key]) => `${key} is not encrypted. Set encrypted: true.`);
  },
};

export const ec2InstanceMetadata: Rule = {
  name: "ec2-imdsv2",
  description:
    "Instance metadata requires a session token (IMDSv2), and its answers stop at the first router, so pods cannot reach it.",
  about: "inputs",
  violations({ type, properties }) {
    const { metadataOptions: options } = properties;
    if (type !== "aws:ec2/instance:Instance" || options === unknown) return [];
    const { httpTokens, httpPutResponseHopLimit: hops, httpEndpoint } = isObject(options) ? options : {};
    if (httpEndpoint === "disabled") return [];
    return [
      ...(httpTokens === "required" ? [] : ["metadataOptions.httpTokens is not required. Set it to required."]),
      ...(hops === 1 ? [] : ["metadataOptions.httpPutResponseHopLimit is not 1. Set it to 1."]),
    ];
  },
};
