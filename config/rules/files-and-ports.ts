/** Further rules between several keys of a config, and with the files that they name: a line for every problem. */
import { parse } from "yaml";
import { isIPv4, overlap } from "../../model/cidr";
import { bareHostKey, declaredMachine } from "../../model/machine";
import { controlPlanes } from "../../model/nodes";
import { neededPorts } from "../../components/hosts/requirements";
import { tailscalePort } from "../../components/hosts/ec2/security-group-rules";
import { refused, valueText } from "../../model/messages";
import type { ReadFile } from "../source";
import { clash, ownNetworks } from "./cluster";
import type { ClusterConfig } from "../../model/config";

/** The servers that the hosts have to reach are outside of the cluster's networks, where these are given as addresses. */
export function serverProblems(config: ClusterConfig): string[] {
  if (config.nodeNetwork === "lan") {
    // There is no tailnet, and nobody asks its servers.
    return [];
  }
  const servers = [
    { key: "tailnetLoginServer", url: config.tailnet.loginServer },
    { key: "tailnetApi", url: config.tailnet.api },
  ];
  return servers.flatMap(({ key, url }) => {
    const host = /^https?:\/\/(?:[^/@]*@)?([^/:]+)/.exec(url)?.[1] ?? "";
    return ownNetworks(config)
      .filter(({ network }) => isIPv4(host) && overlap(network, host))
      .map((own) => clash(own, `${key} ${host}`, "the nodes could not reach it any more"));
  });
}

/** Kubernetes' default range for Services of type NodePort: Cilium takes what comes to these ports of a node. */
const nodePorts = [30000, 32767] as const;

/** Each port of a host has one user. */
export function portProblems(config: ClusterConfig): string[] {
  const problems: string[] = [];
  const planes = controlPlanes(config.nodes);
  const port = config.apiServerPort;
  const users = [
    planes[0] !== undefined && neededPorts(planes[0], config).filter((one) => one === `${port}`).length > 1
      ? "neither kubelet, etcd nor Cilium uses"
      : undefined,
    port === 22 || planes.some(({ host }) => host.kind === "ssh" && host.port === port)
      ? "SSH does not use"
      : undefined,
    port >= nodePorts[0] && port <= nodePorts[1] ? `is no NodePort (${nodePorts.join("-")})` : undefined,
  ].filter((user) => user !== undefined);
  if (users.length > 0) {
    const key = config.nodeNetwork === "lan" ? "apiServerPort" : "endpointPort";
    problems.push(refused(key, port, `a port that ${users.join(", and ")}`, "Choose another."));
  }
  if (config.podRouting === "vxlan" && config.tunnelPort === tailscalePort) {
    problems.push(refused("tunnelPort", config.tunnelPort, "a port that is not tailscaled's", "Choose another."));
  }
  return problems;
}

/** A host key that two nodes declare: one machine under two names, or copies of one disk image. A line each. */
export function hostKeyWarnings({ nodes }: Pick<ClusterConfig, "nodes">): string[] {
  const first = new Map<string, number>();
  return nodes.flatMap((node, i) => {
    const { hostKey } = declaredMachine(node);
    const key = hostKey === undefined ? undefined : bareHostKey(hostKey);
    const same = key === undefined ? undefined : first.get(key);
    if (key !== undefined && same === undefined) {
      first.set(key, i);
    }
    return same === undefined
      ? []
      : [
          `nodes[${i}].host.hostKey: nodes[${same}] has the same one. If it is one machine, remove one of the two; if they are ` +
            "copies of one disk image, make new host keys: rm /etc/ssh/ssh_host_* && ssh-keygen -A.",
        ];
  });
}

/**
 * The chart on this machine is there and is the one that the config names. Only Chart.yaml of an unpacked chart is looked
 * into; of a packed one, whether it can be read.
 */
export function chartProblems({ cilium }: ClusterConfig, readFile: ReadFile): string[] {
  const { chart, version } = cilium;
  if (chart === undefined) {
    return [];
  }
  const isPacked = /\.(tgz|tar\.gz)$/.test(chart);
  let found: { name?: unknown; version?: unknown } = {};
  try {
    const content = readFile(isPacked ? chart : `${chart}/Chart.yaml`);
    found = isPacked ? { name: "cilium", version } : ((parse(content) ?? {}) as typeof found);
  } catch {
    const allowed =
      "a folder with a Chart.yaml, or a packed chart, on this machine; a relative path is relative to the project";
    return [refused("ciliumChart", chart, allowed, "Correct the path.")];
  }
  if (found.name !== "cilium") {
    return [
      refused("ciliumChart", chart, `a chart named cilium; this one is ${valueText(found.name)}`, "Correct the path."),
    ];
  }
  return found.version === version
    ? []
    : [
        refused(
          "ciliumVersion",
          version,
          `${String(found.version)}, which the chart at ciliumChart is`,
          "Set it, or name another chart.",
        ),
      ];
}
