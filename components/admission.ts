import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/schema";
import { bootstrapToken, certificateKey } from "../plan/admission";
import { uploadCertsConfiguration } from "../plan/kubeadm";
import type { JoinSecrets } from "./cluster-init";
import { HostScript } from "./host-script";
import { joinSeconds, type Member, nodeVariables } from "./membership";

export interface AdmissionArgs {
  config: ClusterConfig;
  /** A control plane that is in. */
  by: Member;
  /** Who may join: one control plane, or any number of workers. */
  joiners: readonly Member[];
  joinSecrets: pulumi.Output<JoinSecrets>;
  /** What the credentials are derived for; the joiners' own documents name the same. */
  purpose: string;
  /** Whether the cluster's certificates are uploaded, for a control plane. */
  certificates: boolean;
}

/**
 * Opens the cluster to the named joiners for as long as they take, and revokes the credentials after. It runs beside the
 * joins, not before them: a run that is killed leaves no admission in the state, and the next one opens the door anew,
 * where a token minted in a resource of its own would have run out.
 */
export class Admission extends pulumi.ComponentResource {
  constructor(name: string, args: AdmissionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:controlplane:Admission", name, {}, opts);
    const token = args.joinSecrets.apply(({ seed }) => bootstrapToken(seed, args.purpose));
    new HostScript(
      `${name}-admit`,
      {
        host: args.by.host,
        stage: "admit",
        files: ["reset.sh", "node.sh", "admit.sh"],
        variables: {
          ...nodeVariables(args.config, args.by),
          TK_JOINERS: pulumi
            .all(args.joiners.map((joiner) => joiner.mark))
            .apply((marks) => marks.map((mark, i) => `${args.joiners[i]!.node.name}=${mark}`).join(" ")),
          TK_TOKEN_ID: token.apply((t) => t.split(".")[0]!),
          TK_TOKEN_SECRET: token.apply((t) => t.split(".")[1]!),
          TK_KUBEADM_DOCUMENT: args.certificates
            ? args.joinSecrets.apply(({ seed }) =>
                uploadCertsConfiguration(certificateKey(seed, args.purpose), args.config),
              )
            : "",
          TK_JOIN_SECONDS: `${joinSeconds}`,
        },
        timeoutSeconds: joinSeconds + 120,
      },
      { parent: this, dependsOn: opts?.dependsOn },
    );
    this.registerOutputs();
  }
}
