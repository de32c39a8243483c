import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig, SshHostConfig } from "../../model/config";
import { controlPlanes, workers } from "../../model/nodes";
import { scriptText } from "./script-text";
import { packedStdin } from "./packed-stage";
import { operatorCommand } from "./operator-command";
import type { OpenSshAccess } from "./script-target";

export interface HostCleanupArgs {
  node: NodeConfig;
  host: SshHostConfig;
  config: ClusterConfig;
  address: pulumi.Input<string>;
  /** "ADDRESS:PORT,TYPE,KEY" of the hosts that `otherHosts` names, with their host keys; with OpenSSH's client, ",WAY" in base64 after it. */
  others: pulumi.Input<readonly string[]>;
  /** Public host key: its type and its base64 text. */
  hostKey: pulumi.Input<string>;
  identity: pulumi.Output<string>;
  privateKey: pulumi.Input<string>;
  openssh?: OpenSshAccess | undefined;
}

/**
 * Other bare hosts. If one of them presents its pinned host key, a silent host is down; if none does, the operator's machine may be offline, or
 * in another network. Three control planes are enough, and a worker, for all control planes may be new machines at once; further nodes
 * change nothing here.
 */
export function otherHosts(node: NodeConfig, { nodes }: Pick<ClusterConfig, "nodes">): NodeConfig[] {
  return [...controlPlanes(nodes).slice(0, 3), ...workers(nodes).slice(0, 1)].filter(
    (other) => other !== node && other.host.kind === "ssh",
  );
}

/** Time limit of a cleanup, in seconds. */
const undoSeconds = 300;

/**
 * Cleans a host when its node is removed, its machine replaced, or the stack destroyed. It exists before the first stage runs, and does
 * nothing until it is deleted. A remote.Command cannot do this: it would fail on a dead host, and block every destroy. This command
 * runs on the operator's machine and uses OpenSSH. It reports and skips a host that does not answer while others do, or that is
 * now a different machine.
 */
export class HostCleanup extends local.Command {
  constructor(name: string, args: HostCleanupArgs, opts?: pulumi.CustomResourceOptions) {
    const { node, host, config } = args;
    const script = packedStdin({
      node: node.name,
      stage: "cleanup",
      variables: {
        TK_ROLE: node.role,
        TK_BUNDLE: config.bundle ?? "",
        TK_HOST_GUARD: scriptText("installed/guard.sh"),
      },
      timeoutSeconds: undoSeconds,
    });
    const { command, inputs } = operatorCommand(
      "operator/run-cleanup.sh",
      {
        node: node.name,
        user: host.user,
        address: args.address,
        port: host.port,
        hostKey: args.hostKey,
        privateKey: args.privateKey,
        openssh: args.openssh,
      },
      { verb: "remove", timeoutSeconds: undoSeconds },
      script,
    );
    super(
      name,
      {
        ...inputs,
        delete: command,
        environment: {
          ...inputs.environment,
          TAILKUBE_OTHER_HOSTS: pulumi.output(args.others).apply((all) => all.join(" ")),
        },
        logging: local.Logging.Stderr,
        triggers: [args.identity],
      },
      {
        ...opts,
        // The old machine is cleaned before the new one joins under its name.
        deleteBeforeReplace: true,
      },
    );
  }
}
