import * as pulumi from "@pulumi/pulumi";
import type { ClusterSecretValues } from "./authority-values";
import type { ClusterConfig } from "../../model/config";
import { HostScript } from "../hosts/remote-script";
import type { Member } from "./member";

export interface ClusterSecretsArgs {
  config: ClusterConfig;
  /** Where they are made: the control plane that founds the cluster. */
  on: Member;
}

/**
 * The cluster's authorities: made once, by kubeadm, on the host that founds the cluster, and kept in the stack's state
 * alone, encrypted. With them a control plane needs no other's help to join, and a cluster can be restored when all of its
 * control planes are lost. Whoever can read the state's secrets is the cluster's administrator; so was, before, whoever can
 * read the SSH key in the stack's config.
 */
export class ClusterSecrets extends pulumi.ComponentResource {
  public readonly values: pulumi.Output<ClusterSecretValues>;
  /** For `deletedWith` of what lives in the cluster and goes with it: it is never replaced. */
  public readonly script: HostScript;

  constructor(name: string, args: ClusterSecretsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:controlplane:Secrets", name, {}, opts);
    this.script = new HostScript(
      `${name}-secrets`,
      {
        host: args.on.host,
        stage: "secrets",
        variables: { TK_MARK: args.on.mark, TK_KUBERNETES_VERSION: args.config.kubernetesVersion },
        secretResult: true,
        timeoutSeconds: 300,
      },
      {
        parent: this,
        dependsOn: opts?.dependsOn,
        // Whatever becomes of the host that they were made on, they stay what they are.
        ignoreChanges: ["connection", "create", "stdin", "triggers", "logging", "addPreviousOutputInEnv"],
      },
    );
    this.values = this.script.result as unknown as pulumi.Output<ClusterSecretValues>;
    this.registerOutputs();
  }
}
