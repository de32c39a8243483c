import * as pulumi from "@pulumi/pulumi";
import type { Authorities } from "./authority-values";
import type { ClusterConfig } from "../../model/config";
import { RemoteScript, unlinked } from "../hosts/remote-script";
import type { Member } from "./member";

export interface MakeAuthoritiesArgs {
  config: ClusterConfig;
  /** Where they are made: the control plane that inits the cluster. */
  on: Member;
  /** Known when that host has what makes them. */
  ready: pulumi.Output<unknown>;
}

export interface MadeAuthorities {
  resource: pulumi.Resource;
  values: pulumi.Output<Authorities>;
}

/**
 * The cluster's authorities: kubeadm makes them once, on the host that inits the cluster, and only the stack's state keeps
 * them, encrypted. With them a control plane joins without another's help, and a cluster can be restored when all of its
 * control planes are lost. To the engine they depend on nothing, so `pulumi destroy --target HOST --target-dependents` leaves
 * them in the state: a running cluster has no other copy of the seed, nor of the key for its Secrets that comes from it. A
 * person who can read the state's secrets is the cluster's administrator, as is a person with the SSH key of the stack's config.
 */
export function makeAuthorities(
  name: string,
  args: MakeAuthoritiesArgs,
  opts: pulumi.CustomResourceOptions,
): MadeAuthorities {
  const { host, membershipId } = args.on;
  const connection = pulumi.all([pulumi.output(host.connection), args.ready]).apply(([to]) => to);
  const script = new RemoteScript(
    name,
    {
      host: { name: host.name, user: host.user, identity: "", connection: unlinked(connection) },
      stage: "authorities",
      variables: { TK_MARK: unlinked(membershipId), TK_KUBERNETES_VERSION: args.config.kubernetesVersion },
      secretResult: true,
      timeoutSeconds: 300,
    },
    {
      ...opts,
      // Whatever becomes of the host that they were made on, they stay what they are.
      ignoreChanges: ["connection", "create", "stdin", "triggers", "logging", "addPreviousOutputInEnv"],
    },
  );
  return {
    resource: script,
    values: script.result as unknown as pulumi.Output<Authorities>,
  };
}
