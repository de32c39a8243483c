import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Authorities } from "./authority-values";
import type { ClusterConfig } from "../../model/config";
import { base64 } from "../hosts/openssh";
import { remoteScript, unlinked } from "../hosts/remote-script";
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
  // They never change, whatever happens to that host.
  const ignoreChanges = ["connection", "create", "stdin", "triggers", "logging", "addPreviousOutputInEnv"];
  const { openssh } = host;
  const former = openssh && formerAuthorities(name, { ...opts, ignoreChanges });
  const script = remoteScript(
    former === undefined ? name : `${name}-openssh`,
    {
      host: {
        name: host.name,
        user: host.user,
        identity: "",
        connection: unlinked(connection),
        openssh: openssh && {
          ...openssh,
          way: unlinked(pulumi.output(openssh.way)),
          secretLines: withFormer(unlinked(pulumi.output(openssh.secretLines)), former!),
        },
      },
      stage: "make-authorities",
      variables: { TK_MARK: unlinked(membershipId), TK_KUBERNETES_VERSION: args.config.kubernetesVersion },
      secretResult: true,
      emptyResult:
        "this cluster was set up by OpenSSH's client, and its certificate authorities would be lost without it. Set ssh.openssh: true.",
      timeoutSeconds: 300,
    },
    {
      ...opts,
      // Only one resource may have had another URN.
      ...(openssh !== undefined && { aliases: [] }),
      ignoreChanges: [...ignoreChanges, ...(openssh === undefined ? [] : ["environment", "interpreter", "dir"])],
    },
  );
  return {
    resource: script,
    values: script.result as unknown as pulumi.Output<Authorities>,
  };
}

/**
 * The authorities of a cluster whose hosts the provider's own SSH reached before: they are in the state, and must not leave it. It never
 * runs anything, and is empty in other clusters.
 */
function formerAuthorities(name: string, opts: pulumi.CustomResourceOptions): pulumi.Output<string> {
  const connection = { host: "192.0.2.0", hostKey: "ssh-ed25519 AAAA" };
  const former = new remote.Command(
    name,
    { connection, logging: remote.Logging.None, addPreviousOutputInEnv: false },
    { ...opts, additionalSecretOutputs: ["stdout", "stderr"] },
  );
  return former.stdout.apply((text: string | undefined) => text ?? "");
}

/** What run-stage.sh prints instead of connecting to the host, if there are any. */
function withFormer(lines: pulumi.Output<string>, former: pulumi.Output<string>): pulumi.Output<string> {
  return pulumi.all([lines, former]).apply(([text, values]) => (values === "" ? text : `known ${base64(values)}\n`));
}
