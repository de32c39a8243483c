import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { type RemoteScript, remoteScript } from "../hosts/remote-script";
import { type Member, nodeVariables } from "../kubernetes/member";

export interface RemoveDeadMembersArgs {
  config: ClusterConfig;
  /** The control plane on which it runs. */
  on: Member;
}

/**
 * Removes dead control planes that are no longer declared before another one joins, because kubeadm lets no control plane join while
 * an etcd member does not answer. finalize.ts removes living nodes later, after all new nodes have joined. A first `up` does not run it.
 */
export function removeDeadMembers(
  name: string,
  args: RemoveDeadMembersArgs,
  opts: pulumi.CustomResourceOptions,
): RemoteScript {
  const { config } = args;
  return remoteScript(
    name,
    {
      host: args.on.host,
      stage: "dead-members",
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
