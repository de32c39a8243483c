/** What the scripts need to know about Services of type LoadBalancer. Without the option they get nothing, and so do not change. */
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import { servingNodes, workers } from "../../../model/nodes";
import type { Underlay } from "./values";

type BalancerArgs = Pick<ClusterConfig, "loadBalancer" | "nodes" | "nodeNetwork">;

/** Variables of host/lib/network/load-balancer-pool.sh. */
export function balancerVariables(
  { loadBalancer, nodes, nodeNetwork }: BalancerArgs,
  underlay: pulumi.Input<Underlay>,
): Record<string, pulumi.Input<string>> {
  if (loadBalancer === undefined) return {};
  return {
    TK_LOAD_BALANCER: loadBalancer.cidr,
    TK_LOAD_BALANCER_NODES: workers(nodes).length > 0 ? "workers" : "all",
    ...(nodeNetwork === "lan" && {
      TK_LOAD_BALANCER_DEVICES: pulumi
        .output(underlay)
        .apply(({ devices }) => JSON.stringify(devices.map(interfaceExpression))),
    }),
  };
}

/** Variables of host/lib/checks/load-balancer.sh. */
export function balancerCheckVariables({ loadBalancer, nodes }: BalancerArgs): Record<string, string> {
  if (loadBalancer === undefined) return {};
  return {
    TK_LOAD_BALANCER: loadBalancer.cidr,
    TK_LOAD_BALANCER_SERVING: servingNodes(nodes)
      .map(({ name }) => name)
      .join(" "),
  };
}

/** An interface's name, or a prefix and `+`, as a regular expression of Go's. */
export function interfaceExpression(device: string): string {
  const name = device.replace(/\+$/, "").replaceAll(".", "\\.");
  return device.endsWith("+") ? `^${name}` : `^${name}$`;
}
