import * as pulumi from "@pulumi/pulumi";
import type { Authorities } from "./authority-values";
import type { ClusterConfig } from "../../model/config";
import { RemoteScript, unlinked } from "../hosts/remote-script";
import type { Member } from "./member";

export interface MakeAuthoritiesArgs {
  config: ClusterConfig;
  /** Where they are created: the control plane that initializes the cluster. */
  on: Member;
  /** Known when that host can create them. */
  ready: pulumi.Output<unknown>;
}

export interface MadeAuthorities {
  resource: pulumi.Resource;
  values: pulumi.Output<Authorities>;
}

/**
 * The cluster's authorities. kubeadm creates them once, on the host that initializes the cluster, and only the stack's state keeps
 * them, encrypted. With them, a control plane joins without help from another one, and a cluster can be restored after the loss of all
 * control planes. For the engine they depend on nothing, so `pulumi destroy --target HOST --target-dependents` leaves them in the
 * state: there is no other copy of the seed, nor of the key for Secrets that is derived from it. A person who can read the state's
 * secrets, or has the SSH key, controls the cluster.
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
      stage: "make-authorities",
      variables: { TK_MARK: unlinked(membershipId), TK_KUBERNETES_VERSION: args.config.kubernetesVersion },
      secretResult: true,
      timeoutSeconds: 300,
    },
    {
      ...opts,
      // They never change, whatever happens to that host.
      ignoreChanges: ["connection", "create", "stdin", "triggers", "logging", "addPreviousOutputInEnv"],
    },
  );
  return {
    resource: script,
    values: script.result as unknown as pulumi.Output<Authorities>,
  };
}
