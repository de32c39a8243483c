import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig, SshHostConfig } from "../config/types";
import { renderStdin, scriptText } from "../scripts/render";
import { undoFiles } from "../scripts/stages";
import { asRoot } from "./host-script";

export interface HostUndoArgs {
  node: NodeConfig;
  host: SshHostConfig;
  config: ClusterConfig;
  /** Public host key: its type and its base64 text. */
  hostKey: pulumi.Input<string>;
  identity: pulumi.Output<string>;
  privateKey: pulumi.Input<string>;
}

/** Bound on the clean-up of a host, in seconds. */
const undoSeconds = 300;

/**
 * What takes everything of ours off a host when its node is removed, replaced by another machine, or the stack destroyed.
 * It exists before the first stage runs, and does nothing until it is deleted. A remote.Command cannot do this: it fails
 * on a host that is gone, and with it every destroy. This one runs on the operator's machine and goes to the host by
 * OpenSSH; a host that does not answer, or is another machine by now, is said and passed over.
 */
export class HostUndo extends local.Command {
  constructor(name: string, args: HostUndoArgs, opts?: pulumi.CustomResourceOptions) {
    const { node, host, config } = args;
    const script = renderStdin({
      node: node.name,
      stage: "undo",
      files: undoFiles(config.nodeNetwork),
      variables: { TK_ROLE: node.role, TK_BUNDLE: config.bundle ?? "" },
    });
    super(
      name,
      {
        // Without the operator's own start-up files, which bash reads when its stdin is a socket.
        interpreter: ["bash", "--norc", "-c"],
        delete: scriptText("operator/undo.sh"),
        environment: {
          TAILKUBE_NODE: node.name,
          TAILKUBE_HOST: host.address,
          TAILKUBE_PORT: `${host.port}`,
          TAILKUBE_USER: host.user,
          TAILKUBE_HOST_KEY: args.hostKey,
          TAILKUBE_COMMAND: asRoot(host.user, `timeout --kill-after=10 ${undoSeconds} bash -s -- remove`),
        },
        // The private key, an empty line, the host's script.
        stdin: pulumi.interpolate`${pulumi.output(args.privateKey).apply((key) => key.trim())}\n\n${script}`,
        logging: local.Logging.Stderr,
        addPreviousOutputInEnv: false,
        triggers: [args.identity],
      },
      {
        ...opts,
        // The old machine leaves before the new one comes under its name.
        deleteBeforeReplace: true,
      },
    );
  }
}
