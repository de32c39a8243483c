import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import type { Authorities } from "../authority-values";
import { type RemoteScript, remoteScript } from "../../hosts/remote-script";
import type { Member } from "../member";
import { controlPlaneSecurityVariables } from "./variables";

export interface EncryptSecretsArgs {
  config: ClusterConfig;
  member: Member;
  authorities: pulumi.Output<Authorities>;
  /** This control plane's current encryption of Secrets: `wanted` or `reading`. */
  state: pulumi.Output<string>;
}

/**
 * The second of two steps that encrypt the Secrets of an older cluster. In the first step, each control plane in turn learns to read
 * encrypted Secrets. Only when all can read them may any of them write encrypted Secrets, so this step `dependsOn` all of them. It does
 * not connect to clusters that had encryption from the start.
 */
export function encryptSecrets(
  name: string,
  args: EncryptSecretsArgs,
  opts: pulumi.CustomResourceOptions,
): RemoteScript {
  const { config, member, authorities } = args;
  return remoteScript(
    name,
    {
      host: member.host,
      stage: "start-encryption",
      variables: controlPlaneSecurityVariables(config, member.node, authorities),
      updateOnly: args.state.apply((state) => state !== "reading"),
      timeoutSeconds: 300,
    },
    opts,
  );
}
