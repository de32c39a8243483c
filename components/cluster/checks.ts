import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { podMtu, type Underlay } from "../network/cilium/values";
import { pauseImage } from "../kubernetes/containerd";
import { controlPlanes } from "../../model/nodes";
import { scriptText } from "../hosts/script-text";
import { type RemoteScript, remoteScript } from "../hosts/remote-script";
import { readySeconds } from "./finalize";
import { type Member, nodeVariables, perMember } from "../kubernetes/member";

export interface CheckClusterArgs {
  config: ClusterConfig;
  underlay: pulumi.Input<Underlay>;
  /** The control plane on which they run. */
  on: Member;
  members: readonly Member[];
  /** As in finalize: a change of the network runs the checks again. */
  release: pulumi.Input<string>;
}

/**
 * Checks declared addresses, Ready nodes, pods, services and DNS across every pair of nodes, and the exact pod MTU. They run again
 * when a node or the network changes. A failure names the broken path and what to try.
 */
export function checkCluster(name: string, args: CheckClusterArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  const { config } = args;
  // Time limit for a probe, and for the start of the probe pods after the last change of any of them: as long as finalizing waits,
  // because a busy host with an SD card takes minutes to start a pod. Twice as long if the start makes progress.
  const probeSeconds = readySeconds(config);
  const underlay = pulumi.output(args.underlay);
  return remoteScript(
    name,
    {
      host: args.on.host,
      stage: "checks",
      variables: {
        ...nodeVariables(config, args.on),
        TK_NODES: perMember(args.members, ({ address }) => address),
        TK_CONTROL_PLANES: controlPlanes(config.nodes)
          .map((node) => node.name)
          .join(" "),
        TK_PAUSE_IMAGE: pauseImage(config.kubernetesVersion, config.mirrors.imageRepository),
        TK_POD_MTU: underlay.apply((under) => `${podMtu(config, under)}`),
        TK_UNDERLAY_MTU: underlay.apply(({ mtu }) => `${mtu}`),
        TK_TUNNEL_PORT: `${config.tunnelPort}`,
        TK_RELEASE: args.release,
        TK_READY_SECONDS: `${probeSeconds}`,
        TK_PROBE: scriptText("installed/probe.sh"),
      },
      // Removing earlier probes, starting new ones, probing, and repeating the probes once.
      timeoutSeconds: 300 + 4 * probeSeconds,
    },
    opts,
  );
}
