/** Rules between several keys of a config: names, addresses, versions. */
import { newestKubernetesMinor } from "../../model/releases";
import { compareVersions, minorOf } from "../../model/versions";
import { subnetCount } from "../../model/cidr";
import { controlPlanes } from "../../model/nodes";
import { leastContainerd } from "../../components/hosts/host-requirements";
import type { Problem } from "../../model/problem";
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
        other.host.kind === "ssh" &&
        other.host.address.toLowerCase() === address &&
        other.host.port === host.port &&
        // Networks behind different jump hosts may use the same addresses.
        JSON.stringify(other.host.via) === JSON.stringify(host.via),
    );
    if (reached < i) {
      problems.push({
        path: `nodes[${i}].host.address`,
        got: host.address,
        wrong: `is already the address of nodes[${reached}], with the same port`,
        fix: "Correct one of the two.",
        about: [
          ...[i, reached].map((position) => `nodes[${position}].host.via`),
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
      wrong: `is too small: each of the ${nodes.length} nodes needs a /24, and it has ${subnets}`,
      fix: "Choose a larger network.",
      about: ["nodes"],
    },
  ];
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
  const first = controlPlanes(config.nodes)[0]?.host;
  if (first?.kind === "ssh" && first.via !== undefined && config.operatorEndpoint === "host") {
    found.push(
      `operatorEndpoint: host means port ${config.apiServerPort} of ${first.address}, and jump hosts carry only SSH. If your machine cannot reach it, set tailnet or endpoint.`,
    );
  }
  if (minorOf(config.kubernetesVersion) > newestKubernetesMinor) {
    found.push(
      `kubernetes.version: ${config.kubernetesVersion} is newer than 1.${newestKubernetesMinor}, the newest minor version that this program was tested with.`,
    );
  }
  return found;
}
