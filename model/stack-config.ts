import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig, Secrets } from "./config";

/** A host's declared values, as they become known. */
export interface HostInputs {
  /** Empty for a machine on EC2. */
  address: pulumi.Output<string>;
  /** Absent if the program gets it from the host. */
  hostKey?: pulumi.Output<string>;
  identity: pulumi.Output<string>;
}

/** @param later the values that become known only during the run. */
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
  /** With stand-ins for unknown values. */
  config: ClusterConfig;
  /** Without stand-ins for values that are known by now; in an update, all are. */
  known: pulumi.Output<ClusterConfig>;
  /** In the order of the nodes. */
  hosts: readonly HostInputs[];
  /** Prefix of the names of the cluster's resources; empty if the stack has only this cluster. */
  prefix: string;
  secrets: { [K in keyof Secrets]: pulumi.Output<NonNullable<Secrets[K]>> };
}
