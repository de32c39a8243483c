/** Hosts of kind ec2: their config, and the defaults of keys that are not set. */
import { z } from "zod";
import type { Ec2HostConfig, Ec2Config } from "../../model/config";
import { architectureOf, defaultInstanceType, ec2Images } from "../../components/hosts/ec2/image";
import { choice, key, list, network, object, text, wholeNumber, yesOrNo } from "./fields";

const gib = () => wholeNumber(10, 16384, "GiB");
const instanceType = () => text(/^[a-z0-9-]+\.[a-z0-9-]+$/, "an instance type such as t3.medium or t4g.medium");
const subnetId = () => text(/^subnet-[0-9a-f]+$/, "the ID of a subnet such as subnet-0123456789abcdef0");

const machine = (words: Record<"instanceType" | "architecture" | "os" | "rootVolumeGib", string>) => ({
  instanceType: key(instanceType().optional(), words.instanceType),
  architecture: key(choice(["amd64", "arm64"]).optional(), words.architecture),
  os: key(choice(["debian", "ubuntu", "ubuntu-24.04"]).optional(), words.os),
  rootVolumeGib: key(gib().optional(), words.rootVolumeGib),
});

/** A node's `host` of kind ec2. The keys of `ec2` are its defaults. */
export const ec2HostSchema = object("an object with kind: ec2", {
  kind: key(
    z.literal("ec2"),
    "A machine that the program creates on EC2. The stack's ec2 has the defaults for keys that are not set.",
  ),
  ...machine({
    instanceType: "Instance type of this machine.",
    architecture: "Architecture of this machine.",
    os: "Operating system of this machine.",
    rootVolumeGib: "Size of this machine's root volume in GiB.",
  }),
  subnetId: key(subnetId().optional(), "A subnet of the existing VPC. By default, the program uses the zones in turn."),
  identity: key(z.string({ error: "a text" }).optional(), "Changing this text replaces the machine.", {
    isInput: true,
  }),
}).meta({ title: "Ec2HostArgs" });

export const ec2Schema = object("an object with region, operatorCidrs and optionally other keys", {
  region: key(text(/^[a-z]{2,}(-[a-z]+)+-\d+$/, "an AWS region such as eu-central-1"), "AWS region."),
  // A prefix shorter than /8 would open SSH to most of the internet.
  operatorCidrs: key(
    list("a list of IPv4 networks such as [198.51.100.7/32]", network(8, 32, "198.51.100.7/32")).min(1, {
      error: "at least one IPv4 network, including the one that this machine connects from",
    }),
    "IPv4 networks that may connect by SSH, including your machine's.",
  ),
  vpcId: key(
    text(/^vpc-[0-9a-f]+$/, "the ID of a VPC such as vpc-0123456789abcdef0").optional(),
    "An existing VPC. By default, the program creates one.",
  ),
  subnetIds: key(
    list("a list of subnet IDs", subnetId()).min(1, { error: "at least one subnet ID" }).optional(),
    "Subnets of that VPC, one per zone; machines need outbound internet access from them.",
  ),
  // AWS allows /16 to /28 for a VPC; the subnets need room in it.
  vpcCidr: key(
    network(16, 24, "10.20.0.0/16").optional(),
    "IPv4 network of a VPC that the program creates. Default: 10.20.0.0/16.",
  ),
  openTailscalePort: key(
    yesOrNo().default(false),
    "Whether any address may send to 41641/udp, for direct connections from devices elsewhere.",
  ),
  operatorAddress: key(
    choice(["public", "private"]).default("public"),
    "Which of a host's addresses your machine uses. private requires an existing VPC.",
  ),
  ...machine({
    instanceType: "Instance type. Default: t3.medium or, for arm64, t4g.medium.",
    architecture: "Architecture. Default: that of the instance type, otherwise amd64.",
    os: "Operating system, with the publisher's newest image. debian is Debian 13, ubuntu is 26.04. Default: debian.",
    rootVolumeGib: "Size of the root volumes in GiB. Default: 20.",
  }),
});

export type Ec2Values = z.output<typeof ec2Schema>;
export type Ec2HostValues = z.output<typeof ec2HostSchema>;

/** Default network of a VPC that the program creates. */
export const defaultVpcCidr = "10.20.0.0/16";

/** @param nodeCidr the config's lan.cidr. */
export function ec2Config(values: Ec2Values | undefined, nodeCidr: string | undefined): Ec2Config | undefined {
  if (values === undefined) return undefined;
  const { vpcId, subnetIds } = values;
  return {
    region: values.region,
    ...(vpcId !== undefined && { given: { vpcId, subnetIds: subnetIds ?? [] } }),
    vpcCidr: (vpcId === undefined ? values.vpcCidr : nodeCidr) ?? defaultVpcCidr,
    operatorCidrs: values.operatorCidrs,
    openTailscalePort: values.openTailscalePort,
    operatorAddress: values.operatorAddress,
  };
}

/** A node's machine. Keys that its host does not set come from `ec2`, then from the defaults here. */
export function ec2Host(host: Ec2HostValues, shared: Ec2Values | undefined): Ec2HostConfig {
  const os = host.os ?? shared?.os ?? "debian";
  // A host's own instance type determines its architecture; ec2.architecture does not apply to it.
  const own = host.instanceType !== undefined ? architectureOf(host.instanceType) : undefined;
  const type = host.instanceType ?? (host.architecture === undefined ? shared?.instanceType : undefined);
  const architecture =
    host.architecture ?? own ?? shared?.architecture ?? (type === undefined ? "amd64" : architectureOf(type));
  return {
    kind: "ec2",
    user: ec2Images[os].user,
    port: 22,
    instanceType: type ?? defaultInstanceType[architecture],
    architecture,
    os,
    rootVolumeGib: host.rootVolumeGib ?? shared?.rootVolumeGib ?? 20,
    ...(host.subnetId !== undefined && { subnetId: host.subnetId }),
    ...(host.identity !== undefined && { identity: host.identity }),
  };
}
