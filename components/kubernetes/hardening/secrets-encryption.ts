import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import type { Authorities } from "../authority-values";
import { RemoteScript } from "../../hosts/remote-script";
import type { Member } from "../member";
import { controlPlaneSecurityVariables } from "./variables";

export interface EncryptSecretsArgs {
  config: ClusterConfig;
  member: Member;
  authorities: pulumi.Output<Authorities>;
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
  args: EncryptSecretsArgs,
  opts: pulumi.CustomResourceOptions,
): RemoteScript {
  const { config, member, authorities } = args;
  return new RemoteScript(
    name,
    {
      host: member.host,
      stage: "start-encryption",
      variables: controlPlaneSecurityVariables(config, authorities),
      updateOnly: args.state.apply((state) => state !== "reading"),
      timeoutSeconds: 300,
    },
    opts,
  );
}
