import type * as pulumi from "@pulumi/pulumi";
import type { types } from "@pulumi/command";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import type { HostInputs } from "../../model/stack-config";
import type { HostFacts } from "./facts";
import { requirementsScript } from "./requirements";
import { RemoteScript, type ScriptTarget } from "./remote-script";

/** A machine that becomes a node. What uses it never asks of which kind it is. */
export interface Host extends ScriptTarget {
  readonly connection: pulumi.Output<types.input.remote.ConnectionArgs>;
  readonly identity: pulumi.Output<string>;
  /** Where the operator's machine reaches it: an IPv4 address or a DNS name. */
  readonly address: pulumi.Output<string>;
  readonly facts: pulumi.Output<HostFacts>;
  /** What looks at the host, for who has to wait until it has. */
  readonly factsScript: RemoteScript;
  /** What ends all that is left on the host when it goes itself: every script that leaves something depends on it. */
  readonly end: pulumi.Resource;
}

export interface HostArgs {
  node: NodeConfig;
  config: ClusterConfig;
  privateKey: pulumi.Output<string>;
  /** What is declared of the host. */
  inputs: HostInputs;
  /** "ADDRESS:PORT" of other bare hosts. */
  others?: pulumi.Input<readonly string[]>;
  /** Waited for before anything is changed on a host that was there before. */
  certain: pulumi.Output<pulumi.Resource>;
}

/** How long a machine may take to boot before its first answer: 40 dials of at most 10 s. */
export const dialOptions = { dialErrorLimit: 40, perDialTimeout: 10 };

/** The first look at a host, which changes nothing: fails on one that does not meet the requirements. */
export function factsScript(
  name: string,
  host: ScriptTarget,
  { node, config }: HostArgs,
  opts: pulumi.CustomResourceOptions,
): RemoteScript {
  return new RemoteScript(
    `${name}-facts`,
    {
      host,
      stage: "facts",
      variables: {
        TK_ROLE: node.role,
        TK_BUNDLE: config.bundle ?? "",
        TK_ENDPOINT_PORT: `${config.endpoint.port}`,
        TK_REQUIREMENTS: requirementsScript(node, config),
      },
      timeoutSeconds: 60,
      rootOptional: true,
    },
    opts,
  );
}
