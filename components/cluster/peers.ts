import * as pulumi from "@pulumi/pulumi";
import { type RemoteScript, remoteScript } from "../hosts/remote-script";
import type { Member } from "../kubernetes/member";

export interface DeclarePeersArgs {
  /** The control plane that may have to init the cluster: the first of the list. */
  on: Member;
  /** All declared control planes. */
  controlPlanes: readonly Member[];
}

/**
 * Gives the first control plane the names and addresses of all declared control planes: it initializes a cluster only if none of them
 * has an API server. As an input of the control-plane stage, they would run that stage again whenever a control plane is added.
 */
export function declarePeers(name: string, args: DeclarePeersArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  const lines = args.controlPlanes.map(({ node, address }) => pulumi.interpolate`${node.name} ${address}`);
  return remoteScript(
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
