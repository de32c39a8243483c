/** Rules of the node network: what a lan needs in the config, and what only it may have. */
import { isIPv4, overlap } from "../../model/cidr";
import { refused } from "../../model/messages";
import type { StackValues } from "../schema/stack";
import type { NodeConfig } from "../../model/config";

type NodeValues = StackValues["nodes"][number];

/** How the node IP of a node is found in a lan: by what the node itself says, or else by what is said for all. */
export function lanSelection(node: NodeValues, all: StackValues): NonNullable<NodeConfig["lan"]> {
  const { nodeIp, nodeInterface } = node;
  const selection =
    nodeIp !== undefined || nodeInterface !== undefined
      ? {
          ...(nodeIp !== undefined && { address: nodeIp }),
          ...(nodeInterface !== undefined && { interface: nodeInterface }),
        }
      : {
          ...(all.nodeCidr !== undefined && { cidr: all.nodeCidr }),
          ...(all.nodeInterface !== undefined && { interface: all.nodeInterface }),
        };
  return { ...selection, checksumOffload: node.checksumOffload ?? all.checksumOffload };
}

/** A line for each key that contradicts the node network, or that it lacks. */
export function nodeNetworkProblems(values: StackValues): string[] {
  return values.nodeNetwork === "lan" ? lanProblems(values) : tailnetProblems(values);
}

function lanProblems(values: StackValues): string[] {
  const { endpoint, nodeCidr, nodeInterface, operatorEndpoint } = values;
  const named =
    "with nodeNetwork lan, an IPv4 address or DNS name that leads to a control plane: the address of one, or a balancer's";
  const isOnEc2 = values.nodes.some(({ host }) => host.kind === "ec2");
  const isSelected = nodeInterface !== undefined || !values.nodes.some((node) => !node.nodeIp && !node.nodeInterface);
  return [
    ...(endpoint === undefined ? [refused("endpoint", undefined, named)] : []),
    ...(nodeCidr === undefined && (isOnEc2 || !isSelected)
      ? [
          refused(
            "nodeCidr",
            undefined,
            isOnEc2
              ? "with nodeNetwork lan on EC2, the network of the VPC such as 10.20.0.0/16"
              : "with nodeNetwork lan, the network of the nodes' addresses such as 192.168.1.0/24, or their interface in nodeInterface",
          ),
        ]
      : []),
    ...(operatorEndpoint === "tailnet"
      ? [refused("operatorEndpoint", operatorEndpoint, "host or endpoint with nodeNetwork lan")]
      : []),
    ...(["podCidr", "serviceCidr"] as const).flatMap((key) =>
      nodeCidr !== undefined && overlap(values[key], nodeCidr)
        ? [
            refused(
              key,
              values[key],
              `what does not overlap nodeCidr ${nodeCidr}, where the hosts are`,
              "Choose another.",
            ),
          ]
        : [],
    ),
    ...workerEndpoint(values),
    ...twins(values),
  ];
}

// As far as the config says it; of other addresses the hosts' facts do (components/network/lan/address.ts).
function workerEndpoint({ endpoint, nodes }: StackValues): string[] {
  const worker = nodes.find((node) => node.role === "worker" && node.nodeIp !== undefined && node.nodeIp === endpoint);
  return worker === undefined
    ? []
    : [
        refused(
          "endpoint",
          endpoint,
          `an address that leads to a control plane; this is the nodeIp of ${worker.name}, a worker`,
        ),
      ];
}

function twins({ nodes }: StackValues): string[] {
  return nodes.flatMap(({ nodeIp }, i) => {
    const first = nodes.findIndex((other) => nodeIp !== undefined && other.nodeIp === nodeIp);
    return first < 0 || first === i
      ? []
      : [refused(`nodes[${i}].nodeIp`, nodeIp, `an address of its own; nodes[${first}] has this one`, "Correct one.")];
  });
}

function tailnetProblems(values: StackValues): string[] {
  const lanOnly = "nothing with nodeNetwork tailnet";
  const todo = "Remove it, or set nodeNetwork: lan.";
  return [
    ...(values.endpoint !== undefined && !isIPv4(values.endpoint)
      ? [refused("endpoint", values.endpoint, "an IPv4 address such as 10.200.0.1")]
      : []),
    // 6443 is what it is where nobody set it.
    ...(values.apiServerPort !== values.endpointPort && values.apiServerPort !== 6443
      ? [
          refused(
            "apiServerPort",
            values.apiServerPort,
            `endpointPort ${values.endpointPort} with nodeNetwork tailnet, for the endpoint is an address of each control plane`,
            "Remove it.",
          ),
        ]
      : []),
    ...(["nodeCidr", "nodeInterface"] as const).flatMap((key) =>
      values[key] === undefined ? [] : [refused(key, values[key], lanOnly, todo)],
    ),
    ...(values.checksumOffload ? [] : [refused("checksumOffload", false, "true with nodeNetwork tailnet", todo)]),
    ...values.nodes.flatMap((node, i) =>
      (["nodeIp", "nodeInterface", "checksumOffload"] as const).flatMap((key) =>
        node[key] === undefined ? [] : [refused(`nodes[${i}].${key}`, node[key], lanOnly, todo)],
      ),
    ),
  ];
}
