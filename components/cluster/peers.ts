import * as pulumi from "@pulumi/pulumi";
import { HostScript } from "../hosts/remote-script";
import type { Member } from "../kubernetes/member";

export interface ClusterPeersArgs {
  /** The control plane that may have to found the cluster: the first of the list. */
  on: Member;
  /** All declared control planes. */
  controlPlanes: readonly Member[];
}

/**
 * Tells the first control plane which others are declared, and where: it founds a cluster only when none of them has an API
 * server. An input of its own stage would make a new control plane change the first one's.
 */
export function declarePeers(name: string, args: ClusterPeersArgs, opts: pulumi.CustomResourceOptions): HostScript {
  const lines = args.controlPlanes.map(({ node, address }) => pulumi.interpolate`${node.name} ${address}`);
  return new HostScript(
    name,
    {
      host: args.on.host,
      stage: "peers",
      variables: { TK_PEERS: pulumi.all(lines).apply((all) => all.join("\n")) },
      timeoutSeconds: 300,
    },
    opts,
  );
}
