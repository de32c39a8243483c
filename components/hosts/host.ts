import type * as pulumi from "@pulumi/pulumi";
import type { types } from "@pulumi/command";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import type { HostInputs } from "../../model/stack-config";
import type { HostFacts } from "./facts";
import { requirementsScript } from "./host-requirements";
import { logFolders } from "./kernel-requirements";
import { proxyCheckVariables } from "./proxy";
import type { OpenSshAccess, ScriptTarget } from "./script-target";
import { type RemoteScript, remoteScript } from "./remote-script";

/** A machine that becomes a node, of any kind. */
export interface Host extends ScriptTarget {
  readonly connection: pulumi.Output<types.input.remote.ConnectionArgs>;
  readonly identity: pulumi.Output<string>;
  /** The IPv4 address or DNS name that the operator's machine uses. */
  readonly address: pulumi.Output<string>;
  readonly facts: pulumi.Output<HostFacts>;
  /** The key that the host has shown; undefined if the program itself made the machine. */
  readonly hostKey?: pulumi.Output<string>;
  /** The script that checks the host, for `dependsOn`. */
  readonly factsScript: RemoteScript;
  /** The resource whose deletion cleans or terminates the host. Every script that leaves something on the host depends on it. */
  readonly end: pulumi.Resource;
}

export interface HostArgs {
  node: NodeConfig;
  config: ClusterConfig;
  privateKey: pulumi.Output<string>;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
  inputs: HostInputs;
  /** "ADDRESS:PORT" of other bare hosts. */
  others?: pulumi.Input<readonly string[]>;
  /** If OpenSSH's client reaches the host: how, by its host key; undefined before the first contact. */
  accessTo?: (hostKey: pulumi.Output<string> | undefined) => OpenSshAccess;
  /** `secretLines` with the keys of the ways to other hosts, too. */
  othersSecretLines?: pulumi.Output<string> | undefined;
  /** Waited for before anything is changed on a host that was there before. */
  certain: pulumi.Output<pulumi.Resource>;
}

/** How long a machine may take to boot: 40 attempts of at most 10 s. */
export const dialOptions = { dialErrorLimit: 40, perDialTimeout: 10 };

/** Checks a host without changing it: fails if it does not meet the requirements. */
export function factsScript(
  name: string,
  host: ScriptTarget,
  { node, config, proxyCredentials }: HostArgs,
  opts: pulumi.CustomResourceOptions,
): RemoteScript {
  return remoteScript(
    `${name}-facts`,
    {
      host,
      stage: "facts",
      variables: {
        TK_ROLE: node.role,
        TK_BUNDLE: config.bundle ?? "",
        TK_ENDPOINT_PORT: `${config.endpoint.port}`,
        ...(config.endpoint.kind === "vip" && { TK_VIP: config.endpoint.address }),
        TK_LOG_FOLDERS: logFolders(node, config).join(" "),
        TK_REQUIREMENTS: requirementsScript(node, config),
        ...proxyCheckVariables(config, proxyCredentials),
      },
      // Each question has a bound of its own; a proxy may take its time for each of the places that it is asked for.
      timeoutSeconds: config.proxy === undefined ? 120 : 210,
      rootOptional: true,
    },
    opts,
  );
}
