import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "./config";

/** The stack's config, with its secrets as secret outputs. */
export interface StackConfig {
  config: ClusterConfig;
  secrets: {
    sshPrivateKey: pulumi.Output<string>;
    tailnetAuthKey?: pulumi.Output<string>;
    tailnetControlPlaneAuthKey?: pulumi.Output<string>;
    tailnetApiKey?: pulumi.Output<string>;
    tailnetOauthClientSecret?: pulumi.Output<string>;
    registryCredentials?: pulumi.Output<string>;
  };
}
