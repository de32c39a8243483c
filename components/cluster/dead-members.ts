import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { HostScript } from "../hosts/remote-script";
import { type Member, nodeVariables } from "../kubernetes/member";

export interface ClusterDeparturesArgs {
  config: ClusterConfig;
  /** The control plane on which it runs. */
  on: Member;
}

/**
 * Takes dead control planes that are declared no more out of the cluster before another one joins: kubeadm lets nobody in
 * while a member of etcd does not answer. Nodes that are alive leave later, when those that come are in (ClusterSettle).
 * A first `up` does not run it.
 */
export function removeDeadMembers(
  name: string,
  args: ClusterDeparturesArgs,
  opts: pulumi.CustomResourceOptions,
): HostScript {
  const { config } = args;
  return new HostScript(
    name,
    {
      host: args.on.host,
      stage: "departures",
      variables: {
        ...nodeVariables(config, args.on),
        TK_NODES: config.nodes.map((node) => node.name).join(" "),
        TK_DRAIN_SECONDS: `${config.drainSeconds}`,
      },
      updateOnly: true,
      timeoutSeconds: 480,
    },
    opts,
  );
}
