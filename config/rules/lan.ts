/** Rules of the node network: what a LAN requires in the config, and what requires a LAN. */
import { isIPv4, overlap } from "../../model/cidr";
import { type Problem, resting } from "../../model/problem";
import { networksOf } from "../networks";
import type { StackValues } from "../schema/stack";
import type { NodeConfig } from "../../model/config";
import type { Given } from "./rule";

type NodeValues = StackValues["nodes"][number];

/** How the node IP is found in a LAN: by the node's own keys, or else by those in `lan`. */
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

/** A problem for each key that contradicts the node network, or that it requires. */
export function nodeNetworkProblems({ values }: Given): Problem[] {
  return resting(values.nodeNetwork === "lan" ? lanProblems(values) : tailnetProblems(values), "nodeNetwork");
}

function lanProblems(values: StackValues): Problem[] {
  const { endpoint, lan, operatorEndpoint } = values;
  const networks = networksOf(values);
  const found: Problem[] = [];
  if (endpoint.address === undefined) {
    const allowed =
      endpoint.kind === "vip"
        ? "with endpoint.kind vip, an unused IPv4 address of the nodes' network"
        : "with nodeNetwork lan, the IPv4 address or DNS name of a control plane, or of a load balancer for the control planes";
    found.push({ path: "endpoint.address", allowed, about: ["endpoint.kind"] });
  }
  if (lan.cidr === undefined) {
    found.push(...selectionProblems(values));
  }
  if (operatorEndpoint === "tailnet") {
    const wrong = "requires nodeNetwork tailnet";
    found.push({ path: "operatorEndpoint", got: operatorEndpoint, wrong, allowed: "host or endpoint" });
  }
  for (const key of ["podCidr", "serviceCidr"] as const) {
    if (lan.cidr === undefined || !overlap(networks[key], lan.cidr)) continue;
    const wrong = `overlaps lan.cidr ${lan.cidr} (the hosts' network)`;
    const fix = "Choose another network.";
    found.push({ path: `network.${key}`, got: networks[key], wrong, fix, about: ["lan.cidr"] });
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
  // One problem per node: that of a node whose own keys are wrong is dropped.
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

// As far as the config shows it; the hosts' facts show other addresses (components/network/lan/address.ts).
function workerEndpoint({ endpoint, nodes }: StackValues): Problem[] {
  // vip.ts has what such an address must not be.
  if (endpoint.kind === "vip") return [];
  return nodes.flatMap(({ name, role, nodeIp }, i) =>
    role !== "worker" || nodeIp === undefined || nodeIp !== endpoint.address
      ? []
      : {
          path: "endpoint.address",
          got: endpoint.address,
          wrong: `is the nodeIp of ${name}, a worker`,
          allowed: "an address that leads to a control plane",
          about: ["name", "role", "nodeIp"].map((key) => `nodes[${i}].${key}`),
        },
  );
}

function twins({ nodes }: StackValues): Problem[] {
  return nodes.flatMap(({ nodeIp }, i) => {
    const first = nodes.findIndex((other) => nodeIp !== undefined && other.nodeIp === nodeIp);
    const wrong = `is already the nodeIp of nodes[${first}]`;
    const problem = { path: `nodes[${i}].nodeIp`, got: nodeIp, wrong, fix: "Correct one of the two." };
    return first < 0 || first === i ? [] : problem;
  });
}

function tailnetProblems(values: StackValues): Problem[] {
  const { address, port, apiServerPort } = values.endpoint;
  const lanOnly = (path: string, got: unknown): Problem[] =>
    got === undefined
      ? []
      : [{ path, got, wrong: "requires nodeNetwork lan", fix: "Remove it, or set nodeNetwork: lan." }];
  const found: Problem[] = [];
  if (address !== undefined && !isIPv4(address)) {
    found.push({ path: "endpoint.address", got: address, allowed: "an IPv4 address such as 10.200.0.1" });
  }
  // 6443 is its default.
  if (apiServerPort !== port && apiServerPort !== 6443) {
    const wrong = `differs from endpoint.port ${port}, but with nodeNetwork tailnet both ports are the same`;
    found.push({
      path: "endpoint.apiServerPort",
      got: apiServerPort,
      wrong,
      fix: "Remove it.",
      about: ["endpoint.port"],
    });
  }
  return [
    ...found,
    ...(["cidr", "interface"] as const).flatMap((key) => lanOnly(`lan.${key}`, values.lan[key])),
    ...(values.lan.checksumOffload ? [] : lanOnly("lan.checksumOffload", false)),
    ...values.nodes.flatMap((node, i) =>
      (["nodeIp", "nodeInterface", "checksumOffload"] as const).flatMap((key) =>
        lanOnly(`nodes[${i}].${key}`, node[key]),
      ),
    ),
  ];
}
