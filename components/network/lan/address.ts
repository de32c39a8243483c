/**
 * Node network `lan`: which of a host's addresses is the node IP, and what Cilium needs to know about the interfaces. This uses only the
 * hosts' facts, before any host is changed.
 */
import type { ClusterConfig, LanSelection } from "../../../model/config";
import { contains } from "../../../model/cidr";
import type { Underlay } from "../cilium/values";
import { type HostAddress, hostAddresses, matches } from "../../hosts/interfaces";
import type { NodeFacts } from "../../hosts/facts";

/** A node's place in the network of the hosts. */
export interface LanAddress extends HostAddress {
  /** The interface for Cilium: its name, or the config's pattern if that matches only this one. */
  device: string;
}

type Lan = Pick<ClusterConfig, "endpoint" | "podRouting">;

/** The minimum MTU of IPv6 (RFC 8200), in bytes. */
const leastMtu = 1280;

/** The node IP of a host: the only address that matches its config; undefined if none or several match. */
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
  // The address of a load balancer may currently be on the interface. If it is the only address, the endpoint is this host's own.
  const own = found.filter(
    (one) =>
      one.address !== endpoint.address || !found.some((other) => other !== one && other.interface === one.interface),
  );
  const isAlone = pattern !== undefined && facts.interfaces.filter(({ name }) => matches(pattern, name)).length === 1;
  return own.map((one) => ({ ...one, device: isAlone ? pattern : one.interface }));
}

/** A line for each problem of a cluster on these hosts' own network. */
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
            `${node.name}: ${at.interface} has the address ${at.address}, like ${other.at.interface} of ${other.node.name}, as on virtual ` +
            "machines behind NAT. Set lan.cidr or lan.interface to the network or interface over which they reach each other.",
        ),
      ...(at.mtu < leastMtu
        ? [
            `${node.name}: the MTU of ${at.interface} is ${at.mtu} bytes; at least ${leastMtu} is required. Raise it, or use another interface.`,
          ]
        : []),
      ...(at.address === config.endpoint.address && node.role === "worker" && config.endpoint.kind !== "vip"
        ? [
            `${node.name}: endpoint.address ${at.address} is its address, but a worker has no API server. Set it to that of a control ` +
              "plane, or of a load balancer for the control planes.",
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
            "that, or set the node's nodeIp to the right address."
          : `${one.node.name}: several of its addresses are ${wanted}: ${list(found)}. Set the node's nodeIp to one of them.`,
      ];
}

function selectionText({ address, cidr, interface: pattern }: LanSelection): string {
  return [
    ...(address === undefined ? [] : [`the nodeIp ${address}`]),
    ...(cidr === undefined ? [] : [`in lan.cidr ${cidr}`]),
    ...(pattern === undefined ? [] : [`on interface ${pattern}`]),
  ].join(" and ");
}

// Each node routes to the pods of another node through that node's address, which must be on the same segment.
function segmentProblems(found: readonly { node: { name: string }; at: LanAddress }[], config: Lan): string[] {
  const [first, ...others] = found;
  return config.podRouting !== "native" || first === undefined
    ? []
    : others
        .filter(({ at }) => at.network !== first.at.network)
        .map(
          ({ node, at }) =>
            `${node.name}: its address ${at.address} is in ${at.network}, but that of ${first.node.name} is in ${first.at.network}. ` +
            "network.podRouting native requires all nodes on one network segment. Set network.podRouting: vxlan.",
        );
}

/** The hosts' interfaces for Cilium, without hosts that have no node IP, which `lanProblems` reports. */
export function lanUnderlay(all: readonly NodeFacts[], config: Pick<Lan, "endpoint">): Underlay {
  const found = all.map((one) => lanAddress(one, config)).filter((one) => one !== undefined);
  return {
    devices: [...new Set(found.map(({ device }) => device))].sort(),
    // One value for all: larger packets would be lost on the way to the interface with the smallest MTU.
    mtu: Math.min(...found.map(({ mtu }) => mtu)),
  };
}
