/** Rules of `endpoint.kind: vip`, an address that the program keeps on one control plane of a LAN at a time. */
import { contains, ipv4Number, isIPv4, networkOf } from "../../model/cidr";
import type { Problem } from "../../model/problem";
import type { Given } from "./rule";

export function vipProblems({ values }: Given): Problem[] {
  const { endpoint, nodes, nodeNetwork } = values;
  if (nodeNetwork === "tailnet") return tailnetProblems(values);
  if (endpoint.kind !== "vip") return [];
  return [...ec2Problems(nodes), ...addressProblems(values), ...portProblems(values)];
}

type Values = Given["values"];

function tailnetProblems({ endpoint: { kind } }: Values): Problem[] {
  return kind === undefined
    ? []
    : [
        {
          path: "endpoint.kind",
          got: kind,
          wrong: "requires nodeNetwork lan. In a tailnet the program always provides the endpoint",
          fix: "Remove it, or set nodeNetwork: lan.",
          about: ["nodeNetwork"],
        },
      ];
}

function ec2Problems(nodes: Values["nodes"]): Problem[] {
  return nodes.every(({ host }) => host.kind !== "ec2")
    ? []
    : [
        {
          path: "endpoint.kind",
          got: "vip",
          wrong: "does not work on EC2, because a VPC delivers only to addresses that AWS has assigned",
          fix: "Use a load balancer with endpoint.kind external, or nodeNetwork tailnet.",
          about: ["nodeNetwork", ...nodes.map((_, i) => `nodes[${i}].host.kind`)],
        },
      ];
}

function addressProblems({ endpoint: { address }, lan, nodes }: Values): Problem[] {
  // Another rule requires it.
  if (address === undefined) return [];
  const about = ["endpoint.kind", "nodeNetwork"];
  const problem = (wrong: string, fix: string, ...more: string[]): Problem => ({
    path: "endpoint.address",
    got: address,
    wrong,
    fix,
    about: [...about, ...more],
  });
  if (!isIPv4(address)) {
    return [
      problem(
        "is not an IPv4 address, which endpoint.kind vip requires",
        "Set an unused address of the nodes' network.",
      ),
    ];
  }
  const found: Problem[] = [];
  if (lan.cidr !== undefined && !contains(lan.cidr, address)) {
    const wrong = `is not in lan.cidr ${lan.cidr}, so other hosts would not look for it there`;
    found.push(problem(wrong, "Choose an unused address of that network.", "lan.cidr"));
  } else if (lan.cidr !== undefined && isEdge(lan.cidr, address)) {
    const wrong = `is the network's own or its broadcast address in lan.cidr ${lan.cidr}`;
    found.push(problem(wrong, "Choose another address of that network.", "lan.cidr"));
  }
  const unused = "Choose an address that no host has and that the network's DHCP server does not assign.";
  nodes.forEach(({ nodeIp, host }, i) => {
    if (nodeIp === address) found.push(problem(`is nodes[${i}].nodeIp`, unused, `nodes[${i}].nodeIp`));
    else if (host.kind === "ssh" && host.address === address)
      found.push(problem(`is nodes[${i}].host.address`, unused, `nodes[${i}].host.address`));
  });
  return found;
}

/** Whether an address of a network is its first or last. */
function isEdge(cidr: string, address: string): boolean {
  const prefix = Number(cidr.split("/")[1]);
  const last = 2 ** (32 - prefix) - 1;
  const place = ipv4Number(address) - ipv4Number(networkOf(cidr)!.split("/")[0]!);
  return prefix < 31 && (place === 0 || place === last);
}

// The address is on the API server's own host.
function portProblems({ endpoint: { port, apiServerPort } }: Values): Problem[] {
  // 6443 is its default.
  return apiServerPort === port || apiServerPort === 6443
    ? []
    : [
        {
          path: "endpoint.apiServerPort",
          got: apiServerPort,
          wrong: `differs from endpoint.port ${port}, but with endpoint.kind vip both ports are the same`,
          fix: "Remove it.",
          about: ["endpoint.port", "endpoint.kind", "nodeNetwork"],
        },
      ];
}
