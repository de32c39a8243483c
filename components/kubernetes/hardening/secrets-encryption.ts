import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import type { ClusterSecretValues } from "../authority-values";
import { HostScript } from "../../hosts/remote-script";
import type { Member } from "../member";
import { controlPlaneSecurityVariables } from "./variables";

export interface SecretsEncryptionArgs {
  config: ClusterConfig;
  member: Member;
  secrets: pulumi.Output<ClusterSecretValues>;
  /** What this control plane does with Secrets so far: `wanted` or `reading`. */
  state: pulumi.Output<string>;
}

/**
 * The second of two steps by which a cluster that is older than the encryption of its Secrets gets it. In the first, every
 * control plane in its turn learns to read encrypted Secrets; only when the last one can may any of them write such a
 * Secret. It `dependsOn` all of them, therefore, and connects nowhere in a cluster that has it from the start.
 */
export function encryptSecrets(
  name: string,
  args: SecretsEncryptionArgs,
  opts: pulumi.CustomResourceOptions,
): HostScript {
  const { config, member, secrets } = args;
  return new HostScript(
    name,
    {
      host: member.host,
      stage: "encryption",
      variables: controlPlaneSecurityVariables(config, secrets),
      updateOnly: args.state.apply((state) => state !== "reading"),
      timeoutSeconds: 300,
    },
    opts,
  );
}
