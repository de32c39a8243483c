/** Further rules between several keys of a config, and with the files that they name. */
import { parse } from "yaml";
import { isIPv4, overlap } from "../../model/cidr";
import { bareHostKey, declaredMachine } from "../../model/machine";
import { controlPlanesPorts, everyNodesPorts } from "../../components/hosts/host-requirements";
import { tailscalePort } from "../../components/hosts/ec2/security-group-rules";
import { valueText } from "../../model/messages";
import { type Problem, resting } from "../../model/problem";
import { clash, ownNetworks } from "./overlapping-networks";
import type { ClusterConfig } from "../../model/config";
import type { Given } from "./rule";

/** The servers that the hosts have to reach are outside of the cluster's networks, where these are given as addresses. */
export function serverProblems({ config, values }: Given): Problem[] {
  if (config.nodeNetwork === "lan") return [];
  const servers = [
    { key: "tailnet.loginServer", url: config.tailnet.loginServer },
    { key: "tailnet.api", url: config.tailnet.api },
  ];
  return servers.flatMap(({ key, url }) => {
    const host = /^https?:\/\/(?:[^/@]*@)?([^/:]+)/.exec(url)?.[1] ?? "";
    return ownNetworks({ config, values })
      .filter(({ network }) => isIPv4(host) && overlap(network, host))
      .map((own) => clash(own, `${key} ${host}`, "the nodes could no longer reach it", [key, "nodeNetwork"]));
  });
}

/** Kubernetes' default range for Services of type NodePort: Cilium takes what comes to these ports of a node. */
const nodePorts = [30000, 32767] as const;

/** Only one program may use a port of a host. */
export function portProblems({ config, values }: Given): Problem[] {
  const { apiServerPort: port, tunnelPort, podRouting, nodes } = config;
  const key = config.nodeNetwork === "lan" ? "endpoint.apiServerPort" : "endpoint.port";
  const fix = "Choose another port.";
  const taken = (wrong: string): Problem => ({ path: key, got: port, wrong, fix });
  const found: Problem[] = [];
  if ([...everyNodesPorts, ...controlPlanesPorts].includes(port)) {
    found.push(taken("is a port of kubelet, etcd or Cilium"));
  }
  const ssh = "is a port of SSH";
  if (port === 22) found.push(taken(ssh));
  nodes.forEach(({ role, host }, i) => {
    if (role !== "control-plane" || host.kind !== "ssh" || host.port !== port) return;
    const own = values.nodes[i]!.host;
    const portKey = own.kind === "ssh" && own.port !== undefined ? `nodes[${i}].host.port` : "ssh.port";
    found.push(...resting([taken(ssh)], `nodes[${i}].role`, portKey));
  });
  if (port >= nodePorts[0] && port <= nodePorts[1]) {
    found.push(taken(`is in the range of NodePorts (${nodePorts.join("-")})`));
  }
  const problems = resting(found, "nodeNetwork");
  if (podRouting === "vxlan" && tunnelPort === tailscalePort) {
    const about = ["network.podRouting", ...(values.network.podRouting === undefined ? ["nodeNetwork"] : [])];
    problems.push({ path: "network.tunnelPort", got: tunnelPort, wrong: "is tailscaled's port", fix, about });
  }
  return problems;
}

/** A host key that two nodes declare: one machine under two names, or copies of one disk image. A line each. */
export function hostKeyWarnings({ nodes }: Pick<ClusterConfig, "nodes">): string[] {
  const keys = nodes.map((node) => {
    const { hostKey } = declaredMachine(node);
    return hostKey === undefined ? undefined : bareHostKey(hostKey);
  });
  return keys.flatMap((key, i) => {
    const same = keys.indexOf(key);
    return key === undefined || same === i
      ? []
      : [
          `nodes[${i}].host.hostKey: nodes[${same}] has the same key. If both are one machine, remove one of the nodes. If they are ` +
            "copies of one disk image, create new host keys: rm /etc/ssh/ssh_host_* && ssh-keygen -A.",
        ];
  });
}

/** Whether the chart on this machine is the one that the config names: of a packed chart, only whether it can be read. */
export function chartProblems({ config: { cilium }, readFile }: Given): Problem[] {
  const { chart, version } = cilium;
  if (chart === undefined) return [];
  const problem = (allowed: string, wrong?: string) => [
    { path: "cilium.chart", got: chart, allowed, fix: "Correct the path.", ...(wrong !== undefined && { wrong }) },
  ];
  const isPacked = /\.(tgz|tar\.gz)$/.test(chart);
  let found: { name?: unknown; version?: unknown } = {};
  try {
    const content = readFile(isPacked ? chart : `${chart}/Chart.yaml`);
    found = isPacked ? { name: "cilium", version } : ((parse(content) ?? {}) as typeof found);
  } catch {
    return problem(
      "a folder with Chart.yaml, or a packed chart, on this machine; relative paths are relative to the project",
    );
  }
  if (found.name !== "cilium") {
    return problem("a chart named cilium", `is a chart named ${valueText(found.name)}`);
  }
  const wrong = "is not the version of the chart at cilium.chart";
  const allowed = String(found.version);
  return found.version === version
    ? []
    : [{ path: "cilium.version", got: version, wrong, allowed, fix: "Set that version, or another chart." }];
}
