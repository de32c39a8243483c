import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "./config";

/** What is declared of a host, as it becomes known. */
export interface HostInputs {
  /** Empty of a machine that the cluster makes. */
  address: pulumi.Output<string>;
  /** Absent where the host is asked for it. */
  hostKey?: pulumi.Output<string>;
  identity: pulumi.Output<string>;
}

/** @param later what of the host becomes known only in the run. */
export function hostInputs(
  host: NodeConfig["host"],
  later: (key: keyof HostInputs) => pulumi.Output<string> | undefined = () => undefined,
): HostInputs {
  const identity = later("identity") ?? pulumi.output(host.identity ?? "");
  if (host.kind !== "ssh") return { address: pulumi.output(""), identity };
  const hostKey = later("hostKey") ?? host.hostKey;
  return {
    address: later("address") ?? pulumi.output(host.address),
    ...(hostKey !== undefined && { hostKey: pulumi.output(hostKey) }),
    identity,
  };
}

/** The config of a cluster, with its secrets as secret outputs. */
export interface StackConfig {
  /** What is not known so far has a stand-in in it. */
  config: ClusterConfig;
  /** With all that is known; in an update, all of it is. */
  known: pulumi.Output<ClusterConfig>;
  /** By the order of the nodes. */
  hosts: readonly HostInputs[];
  /** Before the names of the cluster's resources; empty where the stack has this cluster alone. */
  prefix: string;
  secrets: {
    sshPrivateKey: pulumi.Output<string>;
    tailnetAuthKey?: pulumi.Output<string>;
    tailnetControlPlaneAuthKey?: pulumi.Output<string>;
    tailnetApiKey?: pulumi.Output<string>;
    tailnetOauthClientSecret?: pulumi.Output<string>;
    registryCredentials?: pulumi.Output<string>;
  };
}
