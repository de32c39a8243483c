import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { podMtu, type Underlay } from "../network/cilium/values";
import { pauseImage } from "../kubernetes/containerd";
import { controlPlanes } from "../../model/nodes";
import { scriptText } from "../hosts/script-text";
import { RemoteScript } from "../hosts/remote-script";
import { readySeconds } from "./finalize";
import { type Member, nodeVariables } from "../kubernetes/member";

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
 * The cluster as promised: declared addresses, Ready nodes, pods, services and DNS across every pair of nodes, and the
 * pod MTU to the byte. Made again when a node or the network changes. A failure names the broken path and what to try.
 */
export function checkCluster(name: string, args: CheckClusterArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  const { config } = args;
  // Bound on the start of the probe pods from the last change of any of them, and on a probe: as long as what finalizing waits for,
  // since a host with an SD card under load takes minutes to start a pod. A start that makes progress is waited for twice as long.
  const probeSeconds = readySeconds(config);
  const underlay = pulumi.output(args.underlay);
  return new RemoteScript(
    name,
    {
      host: args.on.host,
      stage: "checks",
      variables: {
        ...nodeVariables(config, args.on),
        TK_NODES: pulumi
          .all(args.members.map((member) => member.address))
          .apply((addresses) => addresses.map((address, i) => `${args.members[i]!.node.name}=${address}`).join(" ")),
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
      // The removal of earlier probes, their start, the probes, and one repetition of these.
      timeoutSeconds: 300 + 4 * probeSeconds,
    },
    opts,
  );
}
