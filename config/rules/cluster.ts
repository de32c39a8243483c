/** Rules between several keys of a config: each returns a line for every problem. */
import { newestKubernetesMinor } from "../../model/releases";
import { compareVersions, minorOf } from "../../model/versions";
import { isIPv4, overlap, subnetCount, tailnetRange } from "../../model/cidr";
import { controlPlanes } from "../../model/nodes";
import { leastContainerd } from "../../components/hosts/requirements";
import { refused, valueText } from "../../model/messages";
import type { ClusterConfig } from "../../model/config";

type Nodes = Pick<ClusterConfig, "nodes">;
type Versions = Pick<ClusterConfig, "bundle" | "kubernetesVersion" | "tailscaleVersion" | "containerdVersion">;
type Networks = Pick<ClusterConfig, "nodeNetwork" | "nodes" | "ec2" | "endpoint" | "podCidr" | "serviceCidr">;

/** Names and addresses are unique, and there is a control plane. */
export function nodeProblems({ nodes }: Nodes): string[] {
  const problems: string[] = [];
  if (controlPlanes(nodes).length === 0) {
    problems.push(
      `nodes: ${nodes.length === 0 ? "the list is empty" : "none is a control plane"}. Allowed: at least one node with ` +
        "role control-plane. Give one, or better three, that role.",
    );
  }
  const firstWithName = new Map<string, number>();
  const firstWithAddress = new Map<string, number>();
  nodes.forEach((node, i) => {
    const name = node.name;
    // EC2 gives each machine an address of its own.
    const given = node.host.kind === "ssh" ? node.host.address : undefined;
    const address = `${given?.toLowerCase()}:${node.host.port}`;
    const sameName = firstWithName.get(name);
    const sameAddress = given === undefined ? undefined : firstWithAddress.get(address);
    if (sameName !== undefined) {
      problems.push(
        `nodes[${i}].name: ${valueText(name)} is refused. Allowed: a name of its own; nodes[${sameName}] has this one. Rename one.`,
      );
    }
    if (sameAddress !== undefined) {
      problems.push(
        `nodes[${i}].host.address: ${valueText(given)} is refused. Allowed: an address and port of its own; ` +
          `nodes[${sameAddress}] has these. Correct one.`,
      );
    }
    firstWithName.set(name, sameName ?? i);
    firstWithAddress.set(address, sameAddress ?? i);
  });
  return problems;
}

/** Ranges that the kernel or the protocol keeps for other ends. */
const special = new Map([
  ["0.0.0.0/8", "this network"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["172.17.0.0/16", "Docker's bridge wherever Docker is installed"],
  ["224.0.0.0/3", "multicast or reserved"],
]);

/** Endpoint, pods, services, the tailnet's devices and the hosts' own addresses share nothing. */
export function networkProblems({ nodeNetwork, nodes, ec2, endpoint, podCidr, serviceCidr }: Networks): string[] {
  const isLan = nodeNetwork === "lan";
  const ours = ownNetworks({ endpoint, podCidr, serviceCidr });
  const hosts = nodes.flatMap(({ host }, i) =>
    host.kind === "ssh" && isIPv4(host.address)
      ? [{ key: `nodes[${i}].host.address`, network: `${host.address}/32` }]
      : [],
  );
  // In a lan it is nodeCidr (config/rules/lan.ts).
  if (ec2 !== undefined && ec2.given === undefined && !isLan) {
    hosts.push({ key: "ec2.vpcCidr", network: ec2.vpcCidr });
  }
  const problems: string[] = [];
  ours.forEach((one, i) => {
    for (const [range, name] of special) {
      if (overlap(one.network, range)) {
        problems.push(clash(one, `range ${range}`, `it is ${name}`));
      }
    }
    // In a lan the endpoint is an address of the hosts' network, and may be one of their own.
    const isTheirs = isLan && one.key === "endpoint";
    if (overlap(one.network, tailnetRange) && !isTheirs) {
      problems.push(clash(one, `the tailnet's range ${tailnetRange}`, "Tailscale drops what others send from there"));
    }
    for (const other of ours.slice(i + 1)) {
      if (overlap(one.network, other.network)) {
        problems.push(clash(one, `${other.key} ${other.network}`, "each needs addresses of its own"));
      }
    }
    for (const host of hosts) {
      if (overlap(one.network, host.network) && !isTheirs) {
        problems.push(clash(one, `${host.key} ${shortText(host.network)}`, "the host could not be reached any more"));
      }
    }
  });
  for (const host of hosts) {
    if (overlap(tailnetRange, host.network) && !isLan) {
      problems.push(
        clash(host, `the tailnet's range ${tailnetRange}`, "a host leaves the tailnet on destroy, and SSH with it"),
      );
    }
  }
  const subnets = subnetCount(podCidr, 24);
  if (subnets < nodes.length) {
    problems.push(
      `podCidr: ${valueText(podCidr)} is refused. Allowed: a network with a /24 for each of the ${nodes.length} nodes; this one ` +
        `has ${subnets}. Choose a larger one.`,
    );
  }
  return problems;
}

/** A network that a config key says. */
interface KeyedNetwork {
  key: string;
  network: string;
}

/** The cluster's own networks; its endpoint is one where it is an address. */
export function ownNetworks(a: Pick<ClusterConfig, "endpoint" | "podCidr" | "serviceCidr">): KeyedNetwork[] {
  return [
    ...(isIPv4(a.endpoint.address) ? [{ key: "endpoint", network: `${a.endpoint.address}/32` }] : []),
    { key: "podCidr", network: a.podCidr },
    { key: "serviceCidr", network: a.serviceCidr },
  ];
}

/** The line for a network that overlaps another one. */
export function clash(one: KeyedNetwork, other: string, why: string): string {
  return refused(one.key, shortText(one.network), `what does not overlap ${other} (${why})`, "Choose another.");
}

/** A network of one address as that address. */
function shortText(network: string): string {
  return network.replace(/\/32$/, "");
}

/** Versions that exclude one another. */
export function versionProblems(config: Versions): string[] {
  const { bundle, kubernetesVersion, containerdVersion } = config;
  const problems: string[] = [];
  for (const key of ["tailscaleVersion", "containerdVersion"] as const) {
    if (bundle !== undefined && config[key] !== undefined) {
      problems.push(
        `${key}: ${valueText(config[key])} is refused. Allowed: nothing beside bundle, whose own version counts. Remove one of the two.`,
      );
    }
  }
  const least = leastContainerd(kubernetesVersion);
  if (bundle === undefined && containerdVersion !== undefined && compareVersions(containerdVersion, least) < 0) {
    problems.push(
      `containerdVersion: ${valueText(containerdVersion)} is refused. Allowed: ${least} or newer, for Kubernetes ` +
        `${kubernetesVersion}. Set a newer one, or remove the key.`,
    );
  }
  return problems;
}

/** What is allowed but unwise, a line each. */
export function warnings(config: ClusterConfig): string[] {
  const found: string[] = [];
  const count = controlPlanes(config.nodes).length;
  if (count % 2 === 0) {
    found.push(
      `nodes: ${count} control planes survive no more failures than ${count - 1} would: etcd needs a majority. Use an odd number.`,
    );
  }
  if (minorOf(config.kubernetesVersion) > newestKubernetesMinor) {
    found.push(
      `kubernetesVersion: ${config.kubernetesVersion} is newer than 1.${newestKubernetesMinor}, the newest that this was tried with.`,
    );
  }
  return found;
}
