import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { labelLines, taintLines } from "../../model/nodes";
import type { Authorities } from "../kubernetes/authority-values";
import { remoteScript } from "../hosts/remote-script";
import type { Underlay } from "../network/cilium/values";
import { balancerVariables } from "../network/cilium/load-balancer";
import { type Member, nodeVariables } from "../kubernetes/member";
import { encryptionVariables } from "../kubernetes/hardening/variables";

/**
 * Time limit of each wait for readiness, in seconds: Cilium's images on a slow connection, and changed values of Cilium, which take
 * effect on one node at a time.
 */
export const readySeconds = ({ nodes }: Pick<ClusterConfig, "nodes">) => 600 + 60 * nodes.length;

export interface FinalizeArgs {
  config: ClusterConfig;
  /** The control plane on which it runs. */
  on: Member;
  members: readonly Member[];
  authorities: pulumi.Output<Authorities>;
  underlay: pulumi.Input<Underlay>;
  /** Chart, version and values of Cilium: if they change, the script waits for readiness again. */
  release: pulumi.Input<string>;
}

export interface Finalized {
  resource: pulumi.Resource;
  /** Known when it is done. */
  done: pulumi.Output<boolean>;
}

/**
 * Removes nodes that are no longer declared; sets labels and taints; waits until Cilium, every node and CoreDNS are ready; makes or
 * deletes the pool of addresses for LoadBalancer services; restarts pods that are older than Cilium; and rewrites Secrets if their
 * encryption has changed.
 */
export function finalize(name: string, args: FinalizeArgs, opts: pulumi.CustomResourceOptions): Finalized {
  const { config } = args;
  const script = remoteScript(
    name,
    {
      host: args.on.host,
      stage: "finalize",
      variables: {
        ...nodeVariables(config, args.on),
        ...encryptionVariables(config, args.authorities),
        TK_NODES: config.nodes.map((node) => node.name).join(" "),
        // The Node of a replaced machine is new and has no labels yet.
        TK_MARKS: pulumi.all(args.members.map((member) => member.membershipId)).apply((ids) => ids.join(" ")),
        TK_LABELS: labelLines(config.nodes),
        TK_TAINTS: taintLines(config.nodes),
        TK_RELEASE: args.release,
        TK_READY_SECONDS: `${readySeconds(config)}`,
        TK_DRAIN_SECONDS: `${config.drainSeconds}`,
        ...balancerVariables(config, args.underlay),
      },
      // Removed nodes are drained one at a time. If there are more than this limit allows, the next run continues.
      timeoutSeconds: 3 * readySeconds(config) + 540 + 5 * config.drainSeconds,
    },
    opts,
  );
  return {
    resource: script,
    done: script.result.apply(() => true),
  };
}
