/** Rules for nodeNetwork lan with hosts on EC2. */
import { contains, isIPv4 } from "../../model/cidr";
import { zoneSubnets } from "../../components/hosts/ec2/zones";
import { defaultVpcCidr } from "../schema/ec2";
import { type Problem, resting } from "../../model/problem";
import type { StackValues } from "../schema/stack";
import type { Given } from "./rule";

/** What a VPC requires of a LAN in it; nothing without hosts of kind ec2. */
export function ec2LanProblems({ values }: Given): Problem[] {
  const { nodes, nodeNetwork, ec2 } = values;
  const { podRouting } = values.network;
  if (nodeNetwork !== "lan" || ec2 === undefined || !nodes.some(({ host }) => host.kind === "ec2")) return [];
  const found: Problem[] = nodes.flatMap(({ host }, i) =>
    host.kind === "ec2"
      ? []
      : {
          path: `nodes[${i}].host.kind`,
          got: "ssh",
          wrong:
            "cannot be mixed with ec2 when nodeNetwork is lan, because the security group on EC2 admits no other hosts",
          fix: "Set nodeNetwork: tailnet, or remove the node.",
        },
  );
  if (podRouting === "native") {
    const wrong = "does not work in a LAN on EC2, which drops packets with pod addresses";
    found.push({ path: "network.podRouting", got: podRouting, wrong, allowed: "vxlan" });
  }
  if (ec2.openTailscalePort) {
    const wrong = "requires nodeNetwork tailnet";
    found.push({ path: "ec2.openTailscalePort", got: true, wrong, fix: "Remove it." });
  }
  const isMade = ec2.vpcId === undefined;
  const ofVpc = isMade ? madeProblems(values, ec2.vpcCidr ?? defaultVpcCidr) : givenProblems(values);
  return resting([...found, ...resting(ofVpc, "ec2.vpcId")], "nodeNetwork");
}

// An address that is not declared is unknown until the machine exists.
function madeProblems({ nodes, lan, endpoint: { address } }: StackValues, vpcCidr: string): Problem[] {
  const networks = zoneSubnets(vpcCidr);
  const planes = nodes.filter(({ role }) => role === "control-plane");
  const found: Problem[] = [];
  if (lan.cidr !== undefined && lan.cidr !== vpcCidr) {
    const wrong = "is not the network of the VPC that the program creates";
    const fix = "Set that, or change ec2.vpcCidr.";
    found.push({ path: "lan.cidr", got: lan.cidr, wrong, allowed: vpcCidr, fix, about: ["ec2.vpcCidr"] });
  }
  if (address !== undefined && isIPv4(address) && !planes.some(({ nodeIp }) => nodeIp === address)) {
    found.push({
      path: "endpoint.address",
      got: address,
      wrong: "is not the nodeIp of a control plane",
      allowed: "that of a control plane, or a DNS name, if the program creates the VPC",
      fix: `Set nodeIp of ${planes[0]?.name ?? "a control plane"} to it, or set ec2.vpcId and ec2.subnetIds.`,
      about: nodes.flatMap((_, i) => ["name", "role", "nodeIp"].map((key) => `nodes[${i}].${key}`)),
    });
  }
  nodes.forEach(({ nodeIp }, i) => {
    if (nodeIp === undefined || networks.some((network) => isFree(network, nodeIp))) return;
    found.push({
      path: `nodes[${i}].nodeIp`,
      got: nodeIp,
      allowed: `an address in ${networks.join(" or ")}, except the first four and the last, which AWS reserves`,
      fix: "Choose another address.",
      about: ["ec2.vpcCidr"],
    });
  });
  return found;
}

function givenProblems({ nodes }: StackValues): Problem[] {
  return nodes.flatMap(({ nodeIp, host }, i) =>
    nodeIp === undefined || host.kind !== "ec2" || host.subnetId !== undefined
      ? []
      : { path: `nodes[${i}].host.subnetId`, allowed: `the ID of the subnet that contains nodeIp ${nodeIp}` },
  );
}

/** Whether a subnet of AWS can give an address to a machine (docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html). */
function isFree(subnet: string, address: string): boolean {
  const number = (text: string) => text.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const [start, prefix] = subnet.split("/");
  const at = number(address) - number(start!);
  return contains(subnet, address) && at >= 4 && at < 2 ** (32 - Number(prefix)) - 1;
}
