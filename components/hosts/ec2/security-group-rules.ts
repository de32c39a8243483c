/** Which packets the security group of the hosts on EC2 allows, and why. */

import type { ClusterConfig, Ec2Config } from "../../../model/config";

/** The network that the nodes of a cluster talk over. */
export type NodeNetwork =
  | {
      kind: "tailnet";
      /** Whether any address may send to Tailscale's UDP port. */
      openTailscalePort: boolean;
    }
  | {
      kind: "lan";
      /** UDP port of the tunnel between nodes. */
      tunnelPort: number;
      /** IPv4 network of the load balancer of the API servers; absent if the endpoint is an address of a node. */
      balancerCidr?: string;
      /** Whether Hubble's relay runs. */
      hubble?: boolean;
    };

export interface SecurityGroupArgs {
  network: NodeNetwork;
  /** Port of the API server. */
  apiPort: number;
  /** IPv4 networks of the operator's machine. */
  operatorCidrs: readonly string[];
  /** Whether the operator's machine reaches the API at a host's own address. */
  apiFromOperator: boolean;
}

export interface SecurityRule {
  /** Unique in the group, and independent of the other rules. */
  name: string;
  direction: "ingress" | "egress";
  protocol: "tcp" | "udp" | "all";
  /** First and last port; absent with protocol `all`. */
  ports?: readonly [number, number];
  /** An IPv4 network, or all machines in the group. */
  peer: { cidr: string } | "group";
  /** Why. At most 255 characters that EC2 allows. */
  description: string;
}

/** Where tailscaled listens by default (https://tailscale.com/kb/1082/firewall-ports). */
export const tailscalePort = 41641;
export const world = "0.0.0.0/0";

export function securityGroupArgs(config: ClusterConfig, ec2: Ec2Config): SecurityGroupArgs {
  const { endpoint, nodes, nodeNetwork, operatorEndpoint, tunnelPort } = config;
  const isLan = nodeNetwork === "lan";
  const isNodes = nodes.some(({ lan }) => lan?.address === endpoint.address);
  return {
    network: isLan
      ? {
          kind: "lan",
          tunnelPort,
          ...(!isNodes && { balancerCidr: ec2.vpcCidr }),
          ...(config.hubble !== undefined && { hubble: true }),
        }
      : { kind: "tailnet", openTailscalePort: ec2.openTailscalePort },
    apiPort: config.apiServerPort,
    operatorCidrs: ec2.operatorCidrs,
    // In a tailnet, the endpoint is within it.
    apiFromOperator: operatorEndpoint === "host" || (isLan && operatorEndpoint === "endpoint"),
  };
}

/**
 * The rules of the security group of all nodes, each with its reason. EC2 rejects two rules with the same meaning, so only the first
 * of them stays.
 */
export function securityGroupRules(args: SecurityGroupArgs): SecurityRule[] {
  const peers = args.network.kind === "tailnet" ? ", and the server, relays and peers of the tailnet" : "";
  const meaning = ({ direction, protocol, ports, peer }: SecurityRule) =>
    JSON.stringify([direction, protocol, ports, peer]);
  const rules: SecurityRule[] = [
    ...args.operatorCidrs.flatMap((cidr) => operatorRules(cidr, args)),
    ...(args.network.kind === "tailnet" ? tailnetRules(args.network) : lanRules(args.network, args)),
    {
      name: "out",
      direction: "egress",
      protocol: "all",
      peer: { cidr: world },
      description: `Out: packages, images${peers} are at addresses that cannot be listed`,
    },
  ];
  const meanings = rules.map(meaning);
  return rules.filter((_, i) => meanings.indexOf(meanings[i]!) === i);
}

function ingress(
  name: string,
  protocol: SecurityRule["protocol"],
  ports: readonly [number, number],
  peer: SecurityRule["peer"],
  description: string,
): SecurityRule {
  return { name, direction: "ingress", protocol, ports, peer, description };
}

function operatorRules(cidr: string, { apiPort, apiFromOperator }: SecurityGroupArgs): SecurityRule[] {
  const from = (name: string, port: number, description: string) =>
    ingress(`${name}-${cidr.replace("/", "-")}`, "tcp", [port, port], { cidr }, description);
  const ssh = from("ssh", 22, "SSH from the operator: every step on a host runs over it");
  const api = from("api", apiPort, "API from the operator: Cilium is installed through it (operatorEndpoint)");
  return apiFromOperator ? [ssh, api] : [ssh];
}

function tailnetRules({ openTailscalePort }: { openTailscalePort: boolean }): SecurityRule[] {
  const from = (name: string, peer: SecurityRule["peer"], description: string) =>
    ingress(name, "udp", [tailscalePort, tailscalePort], peer, description);
  const inside = from(
    "tailscale",
    "group",
    "Tailscale between nodes: direct paths inside of the VPC; all else of the cluster is within them",
  );
  const outside = from(
    "tailscale-world",
    { cidr: world },
    "Tailscale from anywhere (openTailscalePort): direct paths from peers elsewhere; it answers to keys only",
  );
  return openTailscalePort ? [inside, outside] : [inside];
}

// https://kubernetes.io/docs/reference/networking/ports-and-protocols/ and
// https://docs.cilium.io/en/stable/operations/system_requirements/#firewall-rules.
function lanRules(
  { tunnelPort, balancerCidr, hubble = false }: Extract<NodeNetwork, { kind: "lan" }>,
  { apiPort }: SecurityGroupArgs,
): SecurityRule[] {
  const between = (name: string, protocol: "tcp" | "udp", ports: [number, number], description: string) =>
    ingress(name, protocol, ports, "group", description);
  const fromBalancer = "API from the balancer that is the endpoint, and its health checks";
  return [
    between("api", "tcp", [apiPort, apiPort], "API between nodes: kubelets, Cilium and joining nodes"),
    between("etcd", "tcp", [2379, 2380], "etcd between control planes: clients and peers"),
    between("kubelet", "tcp", [10250, 10250], "Kubelet from the API servers: logs, exec, metrics"),
    between("cilium-health", "tcp", [4240, 4240], "Cilium health checks between nodes"),
    ...(hubble ? [between("hubble", "tcp", [4244, 4244], "Flows from Cilium's agents to Hubble's relay")] : []),
    between("tunnel", "udp", [tunnelPort, tunnelPort], "Pods to pods on other nodes, tunnelled by Cilium"),
    ...(balancerCidr === undefined
      ? []
      : [ingress("balancer", "tcp", [apiPort, apiPort], { cidr: balancerCidr }, fromBalancer)]),
  ];
}
