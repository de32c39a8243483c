/**
 * Node network `lan`: which of a host's addresses is the node IP, and what the interfaces mean for Cilium. What a host has is
 * known by its facts, before anything is changed on any of them.
 */
import type { ClusterConfig, LanSelection } from "../../../model/config";
import { contains } from "../../../model/cidr";
import type { Underlay } from "../cilium/values";
import { type HostAddress, hostAddresses, matches } from "../../hosts/interfaces";
import type { NodeFacts } from "../../hosts/facts";

/** A node's place in the network of the hosts. */
export interface LanAddress extends HostAddress {
  /** How Cilium is told of the interface: its name, or the pattern in the config where that means this one alone. */
  device: string;
}

type Lan = Pick<ClusterConfig, "endpoint" | "podRouting">;

/** IPv6's least MTU (RFC 8200), in bytes: smaller ones break more than they help. */
const leastMtu = 1280;

/** The node IP of a host: the one address that is as its config says; undefined if there is none, or more than one. */
export function lanAddress(one: NodeFacts, config: Pick<Lan, "endpoint">): LanAddress | undefined {
  const found = candidates(one, config);
  return found.length === 1 ? found[0] : undefined;
}

function candidates({ node, facts }: NodeFacts, { endpoint }: Pick<Lan, "endpoint">): LanAddress[] {
  const { address, cidr, interface: pattern } = node.lan ?? {};
  const found = hostAddresses(facts.interfaces).filter(
    (one) =>
      (address === undefined || one.address === address) &&
      (cidr === undefined || contains(cidr, one.address)) &&
      (pattern === undefined || matches(pattern, one.interface)),
  );
  // A balancer's address may be on the interface at the moment. Where there is no other, the endpoint is this host's own.
  const own = found.filter(
    (one) =>
      one.address !== endpoint.address || !found.some((other) => other !== one && other.interface === one.interface),
  );
  const isAlone = pattern !== undefined && facts.interfaces.filter(({ name }) => matches(pattern, name)).length === 1;
  return own.map((one) => ({ ...one, device: isAlone ? pattern : one.interface }));
}

/** What stands in the way of a cluster on these hosts' own network, a line each. */
export function lanProblems(all: readonly NodeFacts[], config: Lan): string[] {
  const found = all.flatMap((one) => {
    const at = lanAddress(one, config);
    return at === undefined ? [] : [{ node: one.node, at }];
  });
  return [
    ...all.flatMap((one) => selectionProblem(one, config)),
    ...found.flatMap(({ node, at }, i) => [
      ...found
        .slice(0, i)
        .filter((other) => other.at.address === at.address)
        .map(
          (other) =>
            `${node.name}: ${at.interface} has ${at.address}, and so has ${other.at.interface} of ${other.node.name}, as behind a ` +
            "NAT of virtual machines. Name the network or the interface by which they reach each other in lan.cidr or lan.interface.",
        ),
      ...(at.mtu < leastMtu
        ? [
            `${node.name}: the MTU of ${at.interface} is ${at.mtu} bytes; wanted are ${leastMtu} or more. Set it, or use another interface.`,
          ]
        : []),
      ...(at.address === config.endpoint.address && node.role === "worker"
        ? [
            `${node.name}: the endpoint ${at.address} is its address, and a worker has no API server. Name a control plane's, or that ` +
              "of a balancer before the control planes.",
          ]
        : []),
    ]),
    ...segmentProblems(found, config),
  ];
}

function selectionProblem(one: NodeFacts, config: Lan): string[] {
  const found = candidates(one, config);
  const list = (these: readonly HostAddress[]) =>
    these.map(({ address, interface: nic }) => `${address} on ${nic}`).join(", ") || "none";
  const wanted = selectionText(one.node.lan ?? {});
  return found.length === 1
    ? []
    : [
        found.length === 0
          ? `${one.node.name}: none of its addresses is ${wanted}; it has ${list(hostAddresses(one.facts.interfaces))}. Correct ` +
            "that, or name the right one in the node's nodeIp."
          : `${one.node.name}: ${list(found)} are ${wanted}, and one is to be the node IP. Name it in the node's nodeIp.`,
      ];
}

function selectionText({ address, cidr, interface: pattern }: LanSelection): string {
  return [
    ...(address === undefined ? [] : [`the nodeIp ${address}`]),
    ...(cidr === undefined ? [] : [`in lan.cidr ${cidr}`]),
    ...(pattern === undefined ? [] : [`on interface ${pattern}`]),
  ].join(" and ");
}

// Each node sets a route to each other's pods by the other's address: that has to be a neighbour's.
function segmentProblems(found: readonly { node: { name: string }; at: LanAddress }[], config: Lan): string[] {
  const [first, ...others] = found;
  return config.podRouting !== "native" || first === undefined
    ? []
    : others
        .filter(({ at }) => at.network !== first.at.network)
        .map(
          ({ node, at }) =>
            `${node.name}: its address ${at.address} is in ${at.network}, that of ${first.node.name} in ${first.at.network}; network.podRouting ` +
            "native wants all nodes on one network segment. Set network.podRouting: vxlan.",
        );
}

/** What Cilium is told of the hosts' interfaces. Hosts without a node IP, which `lanProblems` names, are left out. */
export function lanUnderlay(all: readonly NodeFacts[], config: Pick<Lan, "endpoint">): Underlay {
  const found = all.map((one) => lanAddress(one, config)).filter((one) => one !== undefined);
  return {
    devices: [...new Set(found.map(({ device }) => device))].sort(),
    // One value for all: what is larger than the smallest would be lost on the way to that one.
    mtu: Math.min(...found.map(({ mtu }) => mtu)),
  };
}
