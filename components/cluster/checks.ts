import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { hubbleCheckVariables } from "../network/cilium/hubble";
import { balancerCheckVariables } from "../network/cilium/load-balancer";
import { podMtu, type Underlay } from "../network/cilium/values";
import { pauseImage } from "../kubernetes/containerd";
import { controlPlanes } from "../../model/nodes";
import { nodesMadeOf } from "../../preview/last-run";
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
 * How long, in seconds, the probes are waited for after the last change of any of them, and each one for its end: as long as finalizing
 * waits, because a busy host with an SD card takes minutes to start a pod. Each host starts only its own probe, so above a dozen nodes
 * it does not grow. Twice as long if the start makes progress.
 */
const probeSeconds = ({ nodes }: ClusterConfig) => readySeconds({ nodes: nodes.slice(0, 12) });

/**
 * Checks declared addresses, Ready nodes, pods, services and DNS between the nodes (all pairs, or a sample above a dozen nodes), and the
 * exact pod MTU. They run again when a node, the network or the nodes' software and settings change. A failure names the broken paths and
 * what to try.
 */
export function checkCluster(name: string, args: CheckClusterArgs, opts: pulumi.CustomResourceOptions): RemoteScript {
  const { config, on } = args;
  const underlay = pulumi.output(args.underlay);
  // The stage notes them in the cluster, for the command of the same name on every control plane: none may be secret.
  const values = {
    TK_NODE_NETWORK: config.nodeNetwork,
    TK_POD_ROUTING: config.podRouting,
    TK_ENDPOINT: config.endpoint.address,
    TK_ENDPOINT_PORT: `${config.endpoint.port}`,
    ...(config.endpoint.kind !== undefined && { TK_ENDPOINT_KIND: config.endpoint.kind }),
    TK_API_PORT: `${config.apiServerPort}`,
    TK_NODES: perMember(args.members, ({ address }) => address),
    TK_CONTROL_PLANES: controlPlanes(config.nodes)
      .map((node) => node.name)
      .join(" "),
    TK_PAUSE_IMAGE: pauseImage(config.kubernetesVersion, config.mirrors.imageRepository),
    TK_POD_MTU: underlay.apply((under) => `${podMtu(config, under)}`),
    TK_UNDERLAY_MTU: underlay.apply(({ mtu }) => `${mtu}`),
    TK_TUNNEL_PORT: `${config.tunnelPort}`,
    TK_READY_SECONDS: `${probeSeconds(config)}`,
    ...balancerCheckVariables(config),
    ...hubbleCheckVariables(config),
  };
  return remoteScript(
    name,
    {
      host: on.host,
      stage: "check-cluster",
      variables: {
        ...nodeVariables(config, on),
        ...values,
        TK_CHECK_VALUES: Object.keys(values).join(" "),
        TK_RELEASE: args.release,
        TK_SOFTWARE: nodesMadeOf(config),
        TK_PROBE: scriptText("installed/probe.sh"),
      },
      // Removing earlier probes, starting new ones, probing, and repeating the probes once.
      timeoutSeconds: 300 + 4 * readySeconds(config),
    },
    opts,
  );
}
