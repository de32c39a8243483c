import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { scriptText } from "../hosts/script-text";
import type { Host } from "../hosts/host";

/**
 * Does nothing until the stack is destroyed; then it is the first to go, and fails where none of the bare hosts shows its own
 * host key. The state keeps all that it depends on, the cluster's authorities among them: an operator's machine that is offline, or
 * elsewhere, must not pass for a cluster whose machines are all gone.
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
      // The connection is secret as a whole, but only its key has to be.
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
        // Short, for an error quotes it whole. Machines of the stack go by their provider's API.
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
