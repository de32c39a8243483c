import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/schema";
import { bootstrapToken, certificateKey } from "../plan/admission";
import { joinConfiguration } from "../plan/kubeadm";
import type { JoinSecrets } from "./cluster-init";
import { HostScript } from "./host-script";
import { kubeadmSeconds, type Member, nodeDocument, nodeVariables } from "./membership";

export interface ClusterMemberArgs {
  config: ClusterConfig;
  member: Member;
  joinSecrets: pulumi.Output<JoinSecrets>;
  /** As in the admission of this joiner. */
  purpose: string;
}

/** `kubeadm join` of a further control plane or of a worker, through the endpoint. */
export class ClusterMember extends pulumi.ComponentResource {
  constructor(name: string, args: ClusterMemberArgs, opts?: pulumi.ComponentResourceOptions) {
    const { config, member } = args;
    const isControlPlane = member.node.role === "control-plane";
    super(isControlPlane ? "tailkube:controlplane:Member" : "tailkube:worker:Member", name, {}, opts);
    new HostScript(
      `${name}-join`,
      {
        host: member.host,
        stage: "join",
        files: ["reset.sh", "node.sh", "join.sh"],
        variables: {
          ...nodeVariables(config, member),
          TK_TAG: config.tailnet.tag,
          TK_MARK: member.mark,
          TK_KUBEADM_DOCUMENT: pulumi
            .all([args.joinSecrets, member.address, member.resolvConf])
            .apply(([{ seed, caCertHash }, nodeIp, resolvConf]) =>
              joinConfiguration({
                endpoint: config.endpoint,
                node: nodeDocument(member, nodeIp, resolvConf),
                token: bootstrapToken(seed, args.purpose),
                caCertHashes: [caCertHash],
                certificateKey: isControlPlane ? certificateKey(seed, args.purpose) : undefined,
                profile: config.hostProfile,
                // The admission that makes the token valid starts at the same time.
                discoveryTimeout: "3m0s",
              }),
            ),
        },
        removable: true,
        timeoutSeconds: kubeadmSeconds + 500,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.registerOutputs();
  }
}
