/** Which networks of a config must not overlap. */
import { isIPv4, overlap, tailnetRange } from "../../model/cidr";
import type { ClusterConfig } from "../../model/config";
import type { Key, Problem } from "../../model/problem";
import type { Given } from "./rule";

/** Ranges that the kernel or the protocol reserves. */
export const special: ReadonlyMap<string, string> = new Map([
  ["0.0.0.0/8", "reserved"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["172.17.0.0/16", "Docker's default bridge"],
  ["224.0.0.0/3", "multicast or reserved"],
]);

/** Endpoint, pods, services, the tailnet's devices and the hosts' own addresses share nothing. */
export function overlapProblems({ config, values }: Given): Problem[] {
  const isLan = config.nodeNetwork === "lan";
  const ours = ownNetworks({ config, values });
  const hosts = hostNetworks(config);
  const problems: Problem[] = [];
  ours.forEach((one, i) => {
    for (const [range, name] of special) {
      if (overlap(one.network, range)) problems.push(clash(one, range, name));
    }
    // In a lan the endpoint is an address of the hosts' network, and may be one of their own.
    const isTheirs = isLan && one.key === "endpoint.address";
    const about = one.key === "endpoint.address" ? ["nodeNetwork"] : [];
    if (overlap(one.network, tailnetRange) && !isTheirs) {
      problems.push(clash(one, tailnetText, "Tailscale drops packets from there on other interfaces", about));
    }
    for (const other of ours.slice(i + 1).filter(({ network }) => overlap(one.network, network))) {
      problems.push(clash(one, textOf(other), "each needs its own addresses", [other.key, ...(other.about ?? [])]));
    }
    for (const host of hosts.filter(({ network }) => overlap(one.network, network) && !isTheirs)) {
      problems.push(clash(one, textOf(host), "the host would become unreachable", [host.key, ...about]));
    }
  });
  for (const host of hosts.filter(({ network }) => overlap(tailnetRange, network) && !isLan)) {
    const why = "a destroy takes the host out of the tailnet, and so cuts its own SSH connection";
    problems.push(clash(host, tailnetText, why, ["nodeNetwork"]));
  }
  return problems;
}

const tailnetText = `the tailnet's range ${tailnetRange}`;

/** A network, and the config key that sets it. */
interface KeyedNetwork {
  key: string;
  network: string;
  /** If it follows from network.number. */
  isDerived?: boolean;
  about?: readonly Key[];
}

/** The cluster's own networks; its endpoint is one where it is an address. */
export function ownNetworks({ config, values }: Pick<Given, "config" | "values">): KeyedNetwork[] {
  const { endpoint, podCidr, serviceCidr, loadBalancer } = config;
  // A lan has none by default.
  const hasEndpoint =
    isIPv4(endpoint.address) && (config.nodeNetwork === "tailnet" || values.endpoint.address !== undefined);
  const keyed = (key: string, network: string, given: string | undefined): KeyedNetwork => ({
    key,
    network,
    isDerived: given === undefined && values.network.number > 0,
    ...(given === undefined && { about: ["network.number"] }),
  });
  return [
    // The first of two that overlap is the one to change.
    ...(loadBalancer === undefined ? [] : [{ key: "loadBalancer.cidr", network: loadBalancer.cidr }]),
    ...(hasEndpoint ? [keyed("endpoint.address", `${endpoint.address}/32`, values.endpoint.address)] : []),
    keyed("network.podCidr", podCidr, values.network.podCidr),
    keyed("network.serviceCidr", serviceCidr, values.network.serviceCidr),
  ];
}

/** The hosts' addresses, and the network of a VPC that is made: in a lan that is lan.cidr (config/rules/lan.ts). */
function hostNetworks({ nodes, ec2, nodeNetwork }: ClusterConfig): KeyedNetwork[] {
  return [
    ...nodes.flatMap(({ host }, i) =>
      host.kind === "ssh" && isIPv4(host.address)
        ? [{ key: `nodes[${i}].host.address`, network: `${host.address}/32` }]
        : [],
    ),
    ...(ec2 !== undefined && ec2.given === undefined && nodeNetwork !== "lan"
      ? [{ key: "ec2.vpcCidr", network: ec2.vpcCidr, about: ["nodeNetwork"] }]
      : []),
  ];
}

/** The problem of a network that overlaps another one. */
export function clash(one: KeyedNetwork, other: string, why: string, about: readonly Key[] = []): Problem {
  return {
    path: one.key,
    got: shortText(one.network),
    wrong: `overlaps ${other} (${why})`,
    fix: `Choose another ${one.isDerived === true ? "network.number" : isIPv4(shortText(one.network)) ? "address" : "network"}.`,
    about: [...about, ...(one.about ?? [])],
  };
}

const textOf = ({ key, network }: KeyedNetwork) => `${key} ${shortText(network)}`;

/** A network of one address as that address. */
function shortText(network: string): string {
  return network.replace(/\/32$/, "");
}
