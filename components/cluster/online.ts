import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { scriptText } from "../hosts/script-text";
import type { Host } from "../hosts/host";
import { agentCommand } from "../hosts/operator-script";
import { type OpenSshHosts, shownHost } from "../hosts/openssh-hosts";

/**
 * Does nothing until the stack is destroyed. Then it is deleted first, and fails if no bare host presents its pinned host key, so the state
 * keeps everything that it depends on, including the cluster's authorities. If the operator's machine is offline, this must not look
 * like a cluster whose machines no longer exist.
 */
export class ClusterOnline extends local.Command {
  /** @param made the hosts of `nodes`, in their order. */
  constructor(
    name: string,
    { nodes }: Pick<ClusterConfig, "nodes">,
    made: readonly Pick<Host, "connection" | "address">[],
    openssh: OpenSshHosts | undefined,
    opts: pulumi.CustomResourceOptions,
  ) {
    const bare = nodes.filter(({ host }) => host.kind === "ssh");
    const hosts = nodes.flatMap((node, i) => {
      if (node.host.kind !== "ssh") return [];
      // The whole connection is secret, but only its private key must be.
      const hostKey = pulumi.unsecret(made[i]!.connection.apply(({ hostKey: key }) => pulumi.output(key ?? "")));
      return [pulumi.interpolate`${node.name}=${shownHost(node, made[i]!.address, hostKey, openssh)}`];
    });
    const list = pulumi.all(hosts).apply((all) => all.join(" "));
    const files = ["operator/answers.sh", "operator/online.sh"];
    super(
      name,
      {
        interpreter: ["bash", "--norc", "-c"],
        // Short, because an error quotes all of it. Machines on EC2 are deleted through AWS's API.
        delete:
          hosts.length === 0
            ? undefined
            : openssh === undefined
              ? 'exec bash --norc -c "$TAILKUBE_SCRIPT"'
              : agentCommand(true),
        ...(openssh === undefined
          ? { environment: { TAILKUBE_SCRIPT: files.map(scriptText).join("\n"), TAILKUBE_HOSTS: list } }
          : {
              environment: { TAILKUBE_SCRIPT: ["operator/ssh-config.sh", ...files].map(scriptText).join("\n") },
              stdin: pulumi.interpolate`${openssh.secretLines(bare)}\n${list}\n`,
            }),
        logging: local.Logging.Stderr,
        addPreviousOutputInEnv: false,
      },
      opts,
    );
  }
}
