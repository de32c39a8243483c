import { local } from "@pulumi/command";
import type * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/types";
import { scriptText } from "../scripts/render";

/**
 * Does nothing until the stack is destroyed; then it is the first to go, and fails where none of the bare hosts can be reached.
 * The state keeps all that it depends on, the cluster's authorities among them: an operator's machine that is offline must not
 * pass for a cluster whose machines are all gone.
 */
export class ClusterOnline extends local.Command {
  constructor(name: string, { nodes }: Pick<ClusterConfig, "nodes">, opts: pulumi.CustomResourceOptions) {
    const hosts = nodes.flatMap((node) =>
      node.host.kind === "ssh" ? [`${node.name}=${node.host.address}:${node.host.port}`] : [],
    );
    super(
      `${name}-online`,
      {
        interpreter: ["bash", "--norc", "-c"],
        // Short, for an error quotes it whole. Machines of the stack go by their provider's API.
        delete: hosts.length > 0 ? 'exec bash --norc -c "$TAILKUBE_SCRIPT"' : undefined,
        environment: {
          TAILKUBE_SCRIPT: ["operator/answers.sh", "operator/online.sh"].map(scriptText).join("\n"),
          TAILKUBE_HOSTS: hosts.join(" "),
        },
        logging: local.Logging.Stderr,
        addPreviousOutputInEnv: false,
      },
      opts,
    );
  }
}
