import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "./config";

/** What is declared of a host, as it becomes known. */
export interface HostInputs {
  /** Empty of a machine that the cluster makes. */
  address: pulumi.Output<string>;
  /** Absent where the host is asked for it. */
  hostKey?: pulumi.Output<string>;
  identity: pulumi.Output<string>;
}

/** The config of a cluster, with its secrets as secret outputs. */
export interface StackConfig {
  /** What is not known so far has a stand-in in it. */
  config: ClusterConfig;
  /** With all that is known; in an update, all of it is. Absent where `config` has no stand-ins. */
  known?: pulumi.Output<ClusterConfig>;
  /** By the order of the nodes. Absent where `config` says all. */
  hosts?: readonly HostInputs[];
  /** Before the names of the cluster's resources; none where the stack has this cluster alone. */
  prefix?: string;
  secrets: {
    sshPrivateKey: pulumi.Output<string>;
    tailnetAuthKey?: pulumi.Output<string>;
    tailnetControlPlaneAuthKey?: pulumi.Output<string>;
    tailnetApiKey?: pulumi.Output<string>;
    tailnetOauthClientSecret?: pulumi.Output<string>;
    registryCredentials?: pulumi.Output<string>;
  };
}
