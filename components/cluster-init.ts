import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/schema";
import { initConfiguration } from "../plan/kubeadm";
import { caCertHash } from "../plan/kubeconfig";
import { HostScript } from "./host-script";
import { kubeadmSeconds, type Member, nodeDocument, nodeVariables } from "./membership";

export interface ClusterInitArgs {
  config: ClusterConfig;
  member: Member;
  /** Further names of the API servers' certificates: what the operator's machine may call them. */
  certSANs: readonly string[];
}

/** What a joiner has to know. */
export interface JoinSecrets {
  /** From which tokens and certificate keys are derived. */
  seed: string;
  caCertHash: string;
}

/** `kubeadm init` on the first control plane. Its host has the endpoint already: kubeadm talks to the API through it. */
export class ClusterInit extends pulumi.ComponentResource {
  /** The cluster administrator's kubeconfig, with the endpoint as its server. Secret. */
  public readonly kubeconfig: pulumi.Output<string>;
  public readonly joinSecrets: pulumi.Output<JoinSecrets>;
  /** For `deletedWith` of what lives in the cluster and goes with it. */
  public readonly script: HostScript;

  constructor(name: string, args: ClusterInitArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:controlplane:Init", name, {}, opts);
    const { config, member } = args;
    this.script = new HostScript(
      `${name}-init`,
      {
        host: member.host,
        stage: "init",
        files: ["reset.sh", "node.sh", "init.sh"],
        variables: {
          ...nodeVariables(config, member),
          TK_MARK: member.mark,
          TK_KUBEADM_DOCUMENT: pulumi.all([member.address, member.resolvConf]).apply(([nodeIp, resolvConf]) =>
            initConfiguration({
              ...config,
              certSANs: [...args.certSANs],
              profile: config.hostProfile,
              resolvConf,
              node: nodeDocument(member, nodeIp, resolvConf),
            }),
          ),
        },
        removable: true,
        secretResult: true,
        // kubeadm, then the API at the endpoint, the pod CIDR, and a former attempt's reset.
        timeoutSeconds: kubeadmSeconds + 500,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.kubeconfig = this.script.result.apply((r) => r.kubeconfig ?? "");
    this.joinSecrets = this.script.result.apply((r) => ({
      seed: r.seed ?? "",
      caCertHash: caCertHash(r.kubeconfig ?? ""),
    }));
    this.registerOutputs({ kubeconfig: this.kubeconfig });
  }
}
