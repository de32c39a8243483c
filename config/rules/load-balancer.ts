/** Rules of the addresses of Services of type LoadBalancer. overlapping-networks.ts has those that every network of the cluster has. */
import { contains, isIPv4, overlap, tailnetRange } from "../../model/cidr";
import type { Problem } from "../../model/problem";
import { minorOf } from "../../model/versions";
import { special } from "./overlapping-networks";
import type { Given } from "./rule";

/** Oldest Cilium minor (of 1.x) with CiliumLoadBalancerIPPool in cilium.io/v2 (pkg/k8s/apis/cilium.io/client/crds/v2). */
const oldestMinor = 18;

/** RFC 1918. */
const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

export function loadBalancerProblems(given: Given): Problem[] {
  const { config } = given;
  const cidr = config.loadBalancer?.cidr;
  if (cidr === undefined) return [];
  const problem = (wrong: string, fix: string, ...about: string[]): Problem => ({
    path: "loadBalancer.cidr",
    got: cidr,
    wrong,
    fix,
    about,
  });
  const { version } = config.cilium;
  const found = config.nodeNetwork === "lan" ? lanProblems(given, cidr, problem) : tailnetProblems(cidr, problem);
  if (minorOf(version) < oldestMinor) {
    const wrong = `requires Cilium 1.${oldestMinor} or newer, and cilium.version is ${version}`;
    found.push(problem(wrong, "Set a newer cilium.version, or remove the key.", "cilium.version"));
  }
  return found;
}

type Say = (wrong: string, fix: string, ...about: string[]) => Problem;

// Every device of the tailnet would send what is for these addresses to the nodes.
function tailnetProblems(cidr: string, problem: Say): Problem[] {
  const isReported = [...special.keys(), tailnetRange].some((one) => overlap(one, cidr));
  return isReported || privateNetworks.some((one) => contains(one, cidr))
    ? []
    : [problem(`is not in ${privateNetworks.join(", ")}`, "Choose a private network.", "nodeNetwork")];
}

function lanProblems({ config, values }: Given, cidr: string, problem: Say): Problem[] {
  const { lan } = values;
  const found: Problem[] = [];
  if (config.nodes.some(({ host }) => host.kind === "ec2")) {
    const wrong =
      "does not work on EC2 with nodeNetwork lan, because a VPC delivers only to addresses that AWS has assigned";
    const kinds = config.nodes.map((_, i) => `nodes[${i}].host.kind`);
    found.push(problem(wrong, "Remove it, or set nodeNetwork: tailnet.", "nodeNetwork", ...kinds));
  }
  if (lan.cidr !== undefined && contains(cidr, lan.cidr)) {
    const wrong = `contains lan.cidr ${lan.cidr}, which has the addresses of the nodes`;
    found.push(problem(wrong, "Choose an unused part of that network.", "lan.cidr", "nodeNetwork"));
  }
  values.nodes.forEach(({ nodeIp }, i) => {
    if (nodeIp === undefined || !isIPv4(nodeIp) || !overlap(cidr, nodeIp)) return;
    const wrong = `contains nodes[${i}].nodeIp ${nodeIp}`;
    found.push(problem(wrong, "Choose an unused part of the network.", `nodes[${i}].nodeIp`, "nodeNetwork"));
  });
  return found;
}
