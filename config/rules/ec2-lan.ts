/** Rules of nodeNetwork lan where the hosts are made on EC2: each returns a line for every problem. */
import { contains, isIPv4 } from "../../model/cidr";
import { zoneSubnets } from "../../components/hosts/ec2/zones";
import { defaultVpcCidr } from "../schema/ec2";
import { refused } from "../../model/messages";
import type { StackValues } from "../schema/stack";

/** What the network of a VPC wants of a lan in it; none without hosts of kind ec2. */
export function ec2LanProblems(values: StackValues): string[] {
  const { nodes, nodeNetwork, podRouting, ec2 } = values;
  if (nodeNetwork !== "lan" || ec2 === undefined || !nodes.some(({ host }) => host.kind === "ec2")) return [];
  const bare = nodes.findIndex(({ host }) => host.kind === "ssh");
  return [
    ...(bare < 0
      ? []
      : [
          refused(
            `nodes[${bare}].host.kind`,
            "ssh",
            "ec2 for all nodes or for none with nodeNetwork lan, for the security group of those on EC2 lets in no other host",
            "Set nodeNetwork: tailnet, or remove the node.",
          ),
        ]),
    ...(podRouting === "native"
      ? [refused("podRouting", podRouting, "vxlan with nodeNetwork lan on EC2, which drops packets of pods' addresses")]
      : []),
    ...(ec2.openTailscalePort
      ? [refused("ec2.openTailscalePort", true, "false with nodeNetwork lan", "Remove it.")]
      : []),
    ...(ec2.vpcId === undefined ? madeProblems(values, ec2.vpcCidr ?? defaultVpcCidr) : givenProblems(values)),
  ];
}

// Of an address that is not declared nobody knows before the machine is there.
function madeProblems({ nodes, nodeCidr, endpoint }: StackValues, vpcCidr: string): string[] {
  const networks = zoneSubnets(vpcCidr);
  const planes = nodes.filter(({ role }) => role === "control-plane");
  return [
    ...(nodeCidr === undefined || nodeCidr === vpcCidr
      ? []
      : [refused("nodeCidr", nodeCidr, `${vpcCidr}, the network of the VPC that is made`, "Set it, or ec2.vpcCidr.")]),
    ...(endpoint !== undefined && isIPv4(endpoint) && !planes.some(({ nodeIp }) => nodeIp === endpoint)
      ? [
          refused(
            "endpoint",
            endpoint,
            "the nodeIp of a control plane, or a DNS name, where the VPC is made",
            `Set nodeIp of ${planes[0]?.name ?? "a control plane"} to it, or set ec2.vpcId and ec2.subnetIds.`,
          ),
        ]
      : []),
    ...nodes.flatMap(({ nodeIp }, i) =>
      nodeIp === undefined || networks.some((network) => isFree(network, nodeIp))
        ? []
        : [
            refused(
              `nodes[${i}].nodeIp`,
              nodeIp,
              `an address of ${networks.join(" or ")}, but the first four and the last, which AWS keeps`,
              "Choose another.",
            ),
          ],
    ),
  ];
}

function givenProblems({ nodes }: StackValues): string[] {
  return nodes.flatMap(({ nodeIp, host }, i) =>
    nodeIp === undefined || host.kind !== "ec2" || host.subnetId !== undefined
      ? []
      : [refused(`nodes[${i}].host.subnetId`, undefined, `the ID of the subnet that nodeIp ${nodeIp} is of`)],
  );
}

/** Whether a subnet of AWS can give an address to a machine (docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html). */
function isFree(subnet: string, address: string): boolean {
  const number = (text: string) => text.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const [start, prefix] = subnet.split("/");
  const at = number(address) - number(start!);
  return contains(subnet, address) && at >= 4 && at < 2 ** (32 - Number(prefix)) - 1;
}
