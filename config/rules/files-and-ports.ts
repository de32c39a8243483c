/** Further rules between several keys of a config, and with the files that they name. */
import { parse } from "yaml";
import { isIPv4, overlap } from "../../model/cidr";
import { bareHostKey, declaredMachine } from "../../model/machine";
import { controlPlanesPorts, everyNodesPorts } from "../../components/hosts/requirements";
import { tailscalePort } from "../../components/hosts/ec2/security-group-rules";
import { valueText } from "../../model/messages";
import { type Problem, resting } from "../../model/problem";
import { clash, ownNetworks } from "./overlapping-networks";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** The servers that the hosts have to reach are outside of the cluster's networks, where these are given as addresses. */
export function serverProblems({ config, values }: Given): Problem[] {
  if (config.nodeNetwork === "lan") {
    // Without a tailnet its servers are never asked.
    return [];
  }
  const servers = [
    { key: "tailnet.loginServer", url: config.tailnet.loginServer },
    { key: "tailnet.api", url: config.tailnet.api },
  ];
  return servers.flatMap(({ key, url }) => {
    const host = /^https?:\/\/(?:[^/@]*@)?([^/:]+)/.exec(url)?.[1] ?? "";
    return ownNetworks({ config, values })
      .filter(({ network }) => isIPv4(host) && overlap(network, host))
      .map((own) => clash(own, `${key} ${host}`, "the nodes could not reach it any more", [key, "nodeNetwork"]));
  });
}

/** Kubernetes' default range for Services of type NodePort: Cilium takes what comes to these ports of a node. */
const nodePorts = [30000, 32767] as const;

/** Each port of a host has one user. */
export function portProblems({ config, values }: Given): Problem[] {
  const { apiServerPort: port, tunnelPort, podRouting, nodes } = config;
  const key = config.nodeNetwork === "lan" ? "endpoint.apiServerPort" : "endpoint.port";
  const other = (than: string): Problem => ({
    path: key,
    got: port,
    allowed: `a port that ${than}`,
    fix: "Choose another.",
  });
  const found: Problem[] = [];
  if ([...everyNodesPorts, ...controlPlanesPorts].includes(port)) {
    found.push(other("neither kubelet, etcd nor Cilium uses"));
  }
  const isSsh = "SSH does not use";
  if (port === 22) found.push(other(isSsh));
  nodes.forEach(({ role, host }, i) => {
    if (role !== "control-plane" || host.kind !== "ssh" || host.port !== port) return;
    const own = values.nodes[i]!.host;
    const portKey = own.kind === "ssh" && own.port !== undefined ? `nodes[${i}].host.port` : "ssh.port";
    found.push(...resting([other(isSsh)], `nodes[${i}].role`, portKey));
  });
  if (port >= nodePorts[0] && port <= nodePorts[1]) {
    found.push(other(`is no NodePort (${nodePorts.join("-")})`));
  }
  const problems = resting(found, "nodeNetwork");
  if (podRouting === "vxlan" && tunnelPort === tailscalePort) {
    const allowed = "a port that is not tailscaled's";
    const about = ["network.podRouting", ...(values.network.podRouting === undefined ? ["nodeNetwork"] : [])];
    problems.push({ path: "network.tunnelPort", got: tunnelPort, allowed, fix: "Choose another.", about });
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
export function chartProblems({ config: { cilium }, readFile }: Given): Problem[] {
  const { chart, version } = cilium;
  if (chart === undefined) {
    return [];
  }
  const wrong = (allowed: string) => [{ path: "cilium.chart", got: chart, allowed, fix: "Correct the path." }];
  const isPacked = /\.(tgz|tar\.gz)$/.test(chart);
  let found: { name?: unknown; version?: unknown } = {};
  try {
    const content = readFile(isPacked ? chart : `${chart}/Chart.yaml`);
    found = isPacked ? { name: "cilium", version } : ((parse(content) ?? {}) as typeof found);
  } catch {
    return wrong(
      "a folder with a Chart.yaml, or a packed chart, on this machine; a relative path is relative to the project",
    );
  }
  if (found.name !== "cilium") {
    return wrong(`a chart named cilium; this one is ${valueText(found.name)}`);
  }
  const allowed = `${String(found.version)}, which the chart at cilium.chart is`;
  return found.version === version
    ? []
    : [{ path: "cilium.version", got: version, allowed, fix: "Set it, or name another chart." }];
}
