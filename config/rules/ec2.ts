/** Rules between the keys of hosts of kind ec2: each returns a line for every problem. */
import { architectureOf, defaultInstanceType } from "../../components/hosts/ec2/image";
import { authorizedKey } from "../../model/ssh-key";
import type { Ec2Values } from "../schema/ec2";
import type { ClusterConfig, Ec2HostConfig } from "../../model/config";
import { refused, valueText } from "../../model/messages";

interface Ec2Machine {
  host: Ec2HostConfig;
  /** `nodes[0].host` */
  key: string;
}

/** All problems of hosts of kind ec2. `values` is what the user wrote as `ec2`. */
export function ec2Problems(
  { nodes }: Pick<ClusterConfig, "nodes">,
  values: Ec2Values | undefined,
  sshPrivateKey: string,
): string[] {
  const machines = nodes.flatMap(({ host }, i) => (host.kind === "ec2" ? [{ host, key: `nodes[${i}].host` }] : []));
  return [
    ...(machines.length > 0 ? sharedProblems(machines[0]!, values, sshPrivateKey) : []),
    ...architectureProblems(machines, values),
    ...(values === undefined ? [] : vpcProblems(machines, values)),
  ];
}

/** What every machine needs. */
function sharedProblems({ key }: Ec2Machine, values: Ec2Values | undefined, sshPrivateKey: string): string[] {
  const problems: string[] = [];
  if (values === undefined) {
    problems.push(
      `ec2: not set. Wanted: an object with region and operatorCidrs, for ${key}.kind is ec2. Set it in the stack's config.`,
    );
  }
  const type = authorizedKey(sshPrivateKey)?.split(" ")[0];
  // A missing one is told of already.
  if (type !== "ssh-ed25519" && type !== "ssh-rsa" && sshPrivateKey.trim() !== "") {
    problems.push(
      `sshPrivateKey: ${type === undefined ? "its format is unknown" : `it is of type ${type}`}. Wanted: for hosts of kind ec2 ` +
        "an ed25519 or RSA key, for EC2 takes no others. Make one: ssh-keygen -t ed25519.",
    );
  }
  return problems;
}

function architectureProblems(machines: readonly Ec2Machine[], values: Ec2Values | undefined): string[] {
  const all = [
    { key: "ec2", ...values },
    ...machines
      .map(({ host, key }) => ({ key, instanceType: host.instanceType, architecture: host.architecture }))
      // Told once, where it is written.
      .filter((one) => one.instanceType !== values?.instanceType || one.architecture !== values.architecture),
  ];
  return all.flatMap(({ key, instanceType, architecture }) =>
    instanceType === undefined || architecture === undefined || architectureOf(instanceType) === architecture
      ? []
      : [
          refused(
            `${key}.instanceType`,
            instanceType,
            `a type of architecture ${architecture}, such as ${defaultInstanceType[architecture]}`,
            "Choose another type, or set architecture to that of this one.",
          ),
        ],
  );
}

/** A VPC is there, with its subnets, or it is made. */
function vpcProblems(machines: readonly Ec2Machine[], values: Ec2Values): string[] {
  const { vpcId, subnetIds, vpcCidr, operatorAddress } = values;
  const problems: string[] = [];
  if ((vpcId === undefined) !== (subnetIds === undefined)) {
    const [missing, there] = vpcId === undefined ? ["vpcId", "subnetIds"] : ["subnetIds", "vpcId"];
    problems.push(
      `ec2.${missing}: not set. Wanted: both vpcId and subnetIds for a VPC that is there, or none of them. Set it, or remove ec2.${there}.`,
    );
  }
  if (vpcId !== undefined && vpcCidr !== undefined) {
    problems.push(
      `ec2.vpcCidr: ${valueText(vpcCidr)} is refused. Allowed: nothing beside ec2.vpcId, for a VPC that is there has its network. ` +
        "Remove one of the two.",
    );
  }
  if (vpcId === undefined && operatorAddress === "private") {
    problems.push(
      'ec2.operatorAddress: "private" is refused. Allowed: public where the VPC is made, for nothing leads into it from outside. ' +
        "Set ec2.vpcId and ec2.subnetIds, or remove it.",
    );
  }
  for (const { host, key } of vpcId === undefined ? machines : []) {
    if (host.subnetId === undefined) continue;
    problems.push(
      `${key}.subnetId: ${valueText(host.subnetId)} is refused. Allowed: nothing where the VPC is made with its subnets. ` +
        "Remove it, or set ec2.vpcId and ec2.subnetIds.",
    );
  }
  return problems;
}
