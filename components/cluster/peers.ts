import * as pulumi from "@pulumi/pulumi";
import { RemoteScript } from "../hosts/remote-script";
import type { Member } from "../kubernetes/member";

export interface DeclarePeersArgs {
  /** The control plane that may have to init the cluster: the first of the list. */
  on: Member;
  /** All declared control planes. */
  controlPlanes: readonly Member[];
}

/**
 * Tells the first control plane which others are declared, and where: it inits a cluster only when none of them has an API
 * server. An input of its own stage would make a new control plane change the first one's.
 */
export function declarePeers(name: string, args: DeclarePeersArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  const lines = args.controlPlanes.map(({ node, address }) => pulumi.interpolate`${node.name} ${address}`);
  return new RemoteScript(
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
