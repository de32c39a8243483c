import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { scriptText } from "../hosts/script-text";
import type { Host } from "../hosts/host";

/**
 * Does nothing until the stack is destroyed. Then it is deleted first, and fails if no bare host shows its pinned host key, so the state
 * keeps everything that it depends on, including the cluster's authorities. If the operator's machine is offline, this must not look
 * like a cluster whose machines no longer exist.
 */
export class ClusterOnline extends local.Command {
  /** @param made the hosts of `nodes`, in their order. */
  constructor(
    name: string,
    { nodes }: Pick<ClusterConfig, "nodes">,
    made: readonly Pick<Host, "connection" | "address">[],
    opts: pulumi.CustomResourceOptions,
  ) {
    const hosts = nodes.flatMap(({ name: node, host }, i) => {
      if (host.kind !== "ssh") return [];
      // The whole connection is secret, but only its private key must be.
      const hostKey = pulumi.unsecret(made[i]!.connection.apply(({ hostKey: key }) => pulumi.output(key ?? "")));
      return [
        pulumi
          .all([made[i]!.address, hostKey])
          .apply(([address, key]) => [`${node}=${address}:${host.port}`, ...key.split(" ").slice(0, 2)].join(",")),
      ];
    });
    super(
      name,
      {
        interpreter: ["bash", "--norc", "-c"],
        // Short, because an error quotes all of it. Machines on EC2 are deleted through AWS's API.
        delete: hosts.length > 0 ? 'exec bash --norc -c "$TAILKUBE_SCRIPT"' : undefined,
        environment: {
          TAILKUBE_SCRIPT: ["operator/answers.sh", "operator/online.sh"].map(scriptText).join("\n"),
          TAILKUBE_HOSTS: pulumi.all(hosts).apply((all) => all.join(" ")),
        },
        logging: local.Logging.Stderr,
        addPreviousOutputInEnv: false,
      },
      opts,
    );
  }
}
