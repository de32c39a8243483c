import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../config/types";
import { ciliumValues, type Underlay } from "../plan/cilium";

export interface CiliumArgs {
  config: ClusterConfig;
  underlay: pulumi.Input<Underlay>;
  /** The administrator's kubeconfig with a server that this machine reaches. */
  kubeconfig: pulumi.Output<string>;
}

/** Cilium as a Helm release, pinned to the node network's interfaces. Its readiness is the stage settle's to wait for. */
export class Cilium extends pulumi.ComponentResource {
  public readonly release: kubernetes.helm.v3.Release;

  constructor(name: string, args: CiliumArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:network:Cilium", name, {}, opts);
    const { config } = args;
    const provider = new kubernetes.Provider(
      `${name}-kubernetes`,
      {
        kubeconfig: args.kubeconfig,
        // A new kubeconfig of the same cluster must not replace what is in it.
        clusterIdentifier: `tailkube-${config.clusterName}`,
      },
      { parent: this },
    );
    this.release = new kubernetes.helm.v3.Release(
      `${name}-release`,
      {
        name: "cilium",
        namespace: "kube-system",
        chart: config.cilium.chart ?? "cilium",
        version: config.cilium.version,
        ...(config.cilium.chart === undefined
          ? {
              repositoryOpts: {
                repo: config.mirrors.charts?.url ?? "https://helm.cilium.io",
                ...(config.mirrors.charts?.caFile !== undefined && { caFile: config.mirrors.charts.caFile }),
              },
            }
          : {}),
        values: pulumi
          .output(args.underlay)
          .apply((underlay) => ciliumValues({ config, nodeCount: config.nodes.length, underlay })),
        // Waited for by name, with what is wrong, by the next stage; and an interrupted wait would leave the release
        // pending, a state that Helm refuses to go on from.
        skipAwait: true,
      },
      // With the last control plane gone there is no API left to ask; the hosts' own clean-up takes Cilium away.
      { parent: this, provider, dependsOn: opts?.dependsOn, deletedWith: opts?.deletedWith },
    );
    this.registerOutputs();
  }
}
