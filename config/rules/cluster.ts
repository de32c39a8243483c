/** Rules between several keys of a config: names, addresses, versions. */
import { newestKubernetesMinor } from "../../model/releases";
import { compareVersions, minorOf } from "../../model/versions";
import { subnetCount } from "../../model/cidr";
import { controlPlanes } from "../../model/nodes";
import { leastContainerd } from "../../components/hosts/requirements";
import type { Problem } from "../../model/problem";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** Names and addresses are unique, and there is a control plane. */
export function nodeProblems({ config: { nodes }, values }: Given): Problem[] {
  const problems: Problem[] = [];
  if (controlPlanes(nodes).length === 0) {
    problems.push({
      path: "nodes",
      wrong: nodes.length === 0 ? "the list is empty" : "none is a control plane",
      allowed: "at least one node with role control-plane",
      fix: "Give one, or better three, that role.",
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
        allowed: `a name of its own; nodes[${named}] has this one`,
        fix: "Rename one.",
        about: [`nodes[${named}].name`],
      });
    }
    // EC2 gives each machine an address of its own.
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
        allowed: `an address and port of its own; nodes[${reached}] has these`,
        fix: "Correct one.",
        about: [
          ...[`nodes[${i}].host.port`, `nodes[${reached}].host.address`, `nodes[${reached}].host.port`],
          ...(hasOwnPort(i) === hasOwnPort(reached) ? [] : ["ssh.port"]),
        ],
      });
    }
  });
  return problems;
}

/** There are pod addresses for each node. */
export function podCidrProblems({ config: { nodes, podCidr } }: Given): Problem[] {
  const subnets = subnetCount(podCidr, 24);
  if (subnets >= nodes.length) return [];
  return [
    {
      path: "network.podCidr",
      got: podCidr,
      allowed: `a network with a /24 for each of the ${nodes.length} nodes; this one has ${subnets}`,
      fix: "Choose a larger one.",
      about: ["nodes"],
    },
  ];
}

/** Versions that exclude one another. */
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
        allowed: "nothing beside bundle, whose own version counts",
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
          allowed: `${least} or newer, for Kubernetes ${kubernetesVersion}`,
          fix: "Set a newer one, or remove the key.",
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
      `nodes: ${count} control planes survive no more failures than ${count - 1} would: etcd needs a majority. Use an odd number.`,
    );
  }
  if (minorOf(config.kubernetesVersion) > newestKubernetesMinor) {
    found.push(
      `kubernetes.version: ${config.kubernetesVersion} is newer than 1.${newestKubernetesMinor}, the newest that this was tried with.`,
    );
  }
  return found;
}
