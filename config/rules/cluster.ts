/** Rules between several keys of a config: names, addresses, networks, versions. */
import { newestKubernetesMinor } from "../../model/releases";
import { compareVersions, minorOf } from "../../model/versions";
import { isIPv4, overlap, subnetCount, tailnetRange } from "../../model/cidr";
import { controlPlanes } from "../../model/nodes";
import { leastContainerd } from "../../components/hosts/requirements";
import { type Key, type Problem } from "../../model/problem";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** Names and addresses are unique, and there is a control plane. */
export function nodeProblems({ config: { nodes }, values }: Given): Problem[] {
  const problems: Problem[] = [];
  if (controlPlanes(nodes).length === 0) {
    problems.push({
      path: "nodes",
      wrong: "at least one node must have role control-plane (three are recommended)",
      about: nodes.map((_, i) => `nodes[${i}].role`),
    });
  }
  const hasOwnPort = (i: number) => (values.nodes[i]?.host as { port?: number }).port !== undefined;
  nodes.forEach(({ name, host }, i) => {
    const named = nodes.findIndex((other) => other.name === name);
    if (named < i) {
      problems.push({
        path: `nodes[${i}].name`,
        got: name,
        wrong: `is already the name of nodes[${named}]`,
        fix: "Rename one of the two.",
        about: [`nodes[${named}].name`],
      });
    }
    // EC2 gives each machine its own address.
    if (host.kind !== "ssh") return;
    const address = host.address.toLowerCase();
    const reached = nodes.findIndex(
      (other) =>
        other.host.kind === "ssh" && other.host.address.toLowerCase() === address && other.host.port === host.port,
    );
    if (reached < i) {
      problems.push({
        path: `nodes[${i}].host.address`,
        got: host.address,
        wrong: `is already the address of nodes[${reached}], with the same port`,
        fix: "Correct one of the two.",
        about: [
          ...[`nodes[${i}].host.port`, `nodes[${reached}].host.address`, `nodes[${reached}].host.port`],
          ...(hasOwnPort(i) === hasOwnPort(reached) ? [] : ["ssh.port"]),
        ],
      });
    }
  });
  return problems;
}

/** Ranges that the kernel or the protocol reserves. */
const special = new Map([
  ["0.0.0.0/8", "reserved"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["172.17.0.0/16", "Docker's default bridge"],
  ["224.0.0.0/3", "multicast or reserved"],
]);

/** Endpoint, pods, services, the tailnet's devices and the hosts' own addresses share nothing. */
export function networkProblems({ config, values }: Given): Problem[] {
  const { nodes, podCidr } = config;
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
      problems.push(clash(one, textOf(other), "each needs its own addresses", [other.key]));
    }
    for (const host of hosts.filter(({ network }) => overlap(one.network, network) && !isTheirs)) {
      problems.push(clash(one, textOf(host), "the host would become unreachable", [host.key, ...about]));
    }
  });
  for (const host of hosts.filter(({ network }) => overlap(tailnetRange, network) && !isLan)) {
    const why = "a destroy takes the host out of the tailnet, and so cuts its own SSH connection";
    problems.push(clash(host, tailnetText, why, ["nodeNetwork"]));
  }
  const subnets = subnetCount(podCidr, 24);
  if (subnets < nodes.length) {
    problems.push({
      path: "network.podCidr",
      got: podCidr,
      wrong: `is too small: each of the ${nodes.length} nodes needs a /24, and it has ${subnets}`,
      fix: "Choose a larger network.",
      about: ["nodes"],
    });
  }
  return problems;
}

const tailnetText = `the tailnet's range ${tailnetRange}`;

/** A network, and the config key that sets it. */
interface KeyedNetwork {
  key: string;
  network: string;
  about?: readonly Key[];
}

/** The cluster's own networks; its endpoint is one where it is an address. */
export function ownNetworks({ config, values }: Pick<Given, "config" | "values">): KeyedNetwork[] {
  const { endpoint, podCidr, serviceCidr } = config;
  // A lan has none by default.
  const hasEndpoint =
    isIPv4(endpoint.address) && (config.nodeNetwork === "tailnet" || values.endpoint.address !== undefined);
  return [
    ...(hasEndpoint ? [{ key: "endpoint.address", network: `${endpoint.address}/32` }] : []),
    { key: "network.podCidr", network: podCidr },
    { key: "network.serviceCidr", network: serviceCidr },
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
    fix: `Choose another ${isIPv4(shortText(one.network)) ? "address" : "network"}.`,
    about: [...about, ...(one.about ?? [])],
  };
}

const textOf = ({ key, network }: KeyedNetwork) => `${key} ${shortText(network)}`;

/** A network of one address as that address. */
function shortText(network: string): string {
  return network.replace(/\/32$/, "");
}

/** Versions that do not work together. */
export function versionProblems({ config }: Given): Problem[] {
  const { bundle, kubernetesVersion, containerdVersion, tailscaleVersion } = config;
  if (bundle !== undefined) {
    return [
      { path: "tailnet.tailscaleVersion", got: tailscaleVersion },
      { path: "kubernetes.containerdVersion", got: containerdVersion },
    ]
      .filter(({ got }) => got !== undefined)
      .map((one) => ({
        ...one,
        wrong: "cannot be set together with bundle, which brings its own version",
        fix: "Remove one of the two.",
      }));
  }
  const least = leastContainerd(kubernetesVersion);
  return containerdVersion === undefined || compareVersions(containerdVersion, least) >= 0
    ? []
    : [
        {
          path: "kubernetes.containerdVersion",
          got: containerdVersion,
          wrong: `is too old for Kubernetes ${kubernetesVersion}`,
          allowed: `${least} or newer`,
          fix: "Set a newer version, or remove the key.",
          about: ["kubernetes.version"],
        },
      ];
}

/** What is allowed but unwise, a line each. */
export function warnings(config: ClusterConfig): string[] {
  const found: string[] = [];
  const count = controlPlanes(config.nodes).length;
  if (count % 2 === 0) {
    found.push(
      `nodes: ${count} control planes tolerate only as many failures as ${count - 1}, because etcd needs a majority. Use an odd number.`,
    );
  }
  if (minorOf(config.kubernetesVersion) > newestKubernetesMinor) {
    found.push(
      `kubernetes.version: ${config.kubernetesVersion} is newer than 1.${newestKubernetesMinor}, the newest minor version that this program was tested with.`,
    );
  }
  return found;
}
