/** Rules of the node network: what a lan needs in the config, and what only it may have. */
import { isIPv4, overlap } from "../../model/cidr";
import { type Problem, resting } from "../../model/problem";
import type { StackValues } from "../schema/stack";
import type { NodeConfig } from "../../model/config";
import type { Given } from "./rule";

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
          ...(all.lan.cidr !== undefined && { cidr: all.lan.cidr }),
          ...(all.lan.interface !== undefined && { interface: all.lan.interface }),
        };
  return { ...selection, checksumOffload: node.checksumOffload ?? all.lan.checksumOffload };
}

/** A problem for each key that contradicts the node network, or that it lacks. */
export function nodeNetworkProblems({ values }: Given): Problem[] {
  return resting(values.nodeNetwork === "lan" ? lanProblems(values) : tailnetProblems(values), "nodeNetwork");
}

function lanProblems(values: StackValues): Problem[] {
  const { endpoint, lan, network, operatorEndpoint } = values;
  const found: Problem[] = [];
  if (endpoint.address === undefined) {
    const allowed =
      "with nodeNetwork lan, an IPv4 address or DNS name that leads to a control plane: the address of one, or a balancer's";
    found.push({ path: "endpoint.address", allowed });
  }
  if (lan.cidr === undefined) {
    found.push(...selectionProblems(values));
  }
  if (operatorEndpoint === "tailnet") {
    const allowed = "host or endpoint with nodeNetwork lan";
    found.push({ path: "operatorEndpoint", got: operatorEndpoint, allowed });
  }
  for (const key of ["podCidr", "serviceCidr"] as const) {
    if (lan.cidr === undefined || !overlap(network[key], lan.cidr)) continue;
    const allowed = `what does not overlap lan.cidr ${lan.cidr}, where the hosts are`;
    found.push({ path: `network.${key}`, got: network[key], allowed, fix: "Choose another.", about: ["lan.cidr"] });
  }
  return [...found, ...workerEndpoint(values), ...twins(values)];
}

/** Of a lan without lan.cidr. */
function selectionProblems({ nodes, lan }: StackValues): Problem[] {
  const allowed =
    "with nodeNetwork lan, the network of the nodes' addresses such as 192.168.1.0/24, or their interface in lan.interface";
  if (nodes.some(({ host }) => host.kind === "ec2")) {
    return [{ path: "lan.cidr", allowed: "with nodeNetwork lan on EC2, the network of the VPC such as 10.20.0.0/16" }];
  }
  // A node for each problem: of one whose own keys are wrong, none is known.
  return nodes.flatMap((node, i) =>
    lan.interface !== undefined || node.nodeIp || node.nodeInterface
      ? []
      : {
          path: "lan.cidr",
          allowed,
          about: ["lan.interface", ...["nodeIp", "nodeInterface", "host.kind"].map((key) => `nodes[${i}].${key}`)],
        },
  );
}

// As far as the config says it; of other addresses the hosts' facts do (components/network/lan/address.ts).
function workerEndpoint({ endpoint, nodes }: StackValues): Problem[] {
  return nodes.flatMap(({ name, role, nodeIp }, i) =>
    role !== "worker" || nodeIp === undefined || nodeIp !== endpoint.address
      ? []
      : {
          path: "endpoint.address",
          got: endpoint.address,
          allowed: `an address that leads to a control plane; this is the nodeIp of ${name}, a worker`,
          about: ["name", "role", "nodeIp"].map((key) => `nodes[${i}].${key}`),
        },
  );
}

function twins({ nodes }: StackValues): Problem[] {
  return nodes.flatMap(({ nodeIp }, i) => {
    const first = nodes.findIndex((other) => nodeIp !== undefined && other.nodeIp === nodeIp);
    const allowed = `an address of its own; nodes[${first}] has this one`;
    return first < 0 || first === i ? [] : { path: `nodes[${i}].nodeIp`, got: nodeIp, allowed, fix: "Correct one." };
  });
}

function tailnetProblems(values: StackValues): Problem[] {
  const { address, port, apiServerPort } = values.endpoint;
  const lanOnly = (path: string, got: unknown, allowed = "nothing with nodeNetwork tailnet"): Problem[] =>
    got === undefined ? [] : [{ path, got, allowed, fix: "Remove it, or set nodeNetwork: lan." }];
  const found: Problem[] = [];
  if (address !== undefined && !isIPv4(address)) {
    found.push({ path: "endpoint.address", got: address, allowed: "an IPv4 address such as 10.200.0.1" });
  }
  // 6443 is its default.
  if (apiServerPort !== port && apiServerPort !== 6443) {
    const allowed = `endpoint.port ${port} with nodeNetwork tailnet, for the endpoint is an address of each control plane`;
    found.push({
      path: "endpoint.apiServerPort",
      got: apiServerPort,
      allowed,
      fix: "Remove it.",
      about: ["endpoint.port"],
    });
  }
  return [
    ...found,
    ...(["cidr", "interface"] as const).flatMap((key) => lanOnly(`lan.${key}`, values.lan[key])),
    ...(values.lan.checksumOffload ? [] : lanOnly("lan.checksumOffload", false, "true with nodeNetwork tailnet")),
    ...values.nodes.flatMap((node, i) =>
      (["nodeIp", "nodeInterface", "checksumOffload"] as const).flatMap((key) =>
        lanOnly(`nodes[${i}].${key}`, node[key]),
      ),
    ),
  ];
}
