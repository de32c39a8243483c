// Not by the package's index, which takes 0.1 s.
import { Release } from "@pulumi/kubernetes/helm/v3/release";
import { Provider } from "@pulumi/kubernetes/provider";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../../model/config";
import { fingerprint } from "../../../model/machine";
import { isMocked } from "../../../model/sdk-internals";
import { inProject } from "../../../model/project";
import { noteStep } from "../../hosts/done";
import { ciliumValues, type Underlay } from "./values";
import { clearKilledRevision } from "./helm-records";

export interface CiliumArgs {
  config: ClusterConfig;
  underlay: pulumi.Input<Underlay>;
  /** The administrator's kubeconfig with a server that this machine reaches. */
  kubeconfig: pulumi.Output<string>;
}

/** Cilium as a Helm release, pinned to the node network's interfaces. Its readiness is the stage finalize's to wait for. */
export class Cilium extends pulumi.ComponentResource {
  public readonly release: Release;

  constructor(name: string, args: CiliumArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:network:Cilium", name, {}, opts);
    const { config } = args;
    const provider = new Provider(
      `${name}-kubernetes`,
      {
        kubeconfig: args.kubeconfig,
        // A new kubeconfig of the same cluster must not replace what is in it.
        clusterIdentifier: `tailkube-${config.clusterName}`,
      },
      { parent: this },
    );
    const release = { namespace: "kube-system", name: "cilium" };
    const clear = (step: "create" | "update") => async (hook: pulumi.ResourceHookArgs) => {
      const kubeconfig = await new Promise<string>((resolve) => args.kubeconfig.apply(resolve));
      const done = await clearKilledRevision(kubeconfig, step, { ...release, urn: hook.urn });
      if (done !== undefined) await pulumi.log.warn(done, this);
    };
    const chart = config.cilium.chart === undefined ? "cilium" : inProject(config.cilium.chart);
    const repo = config.mirrors.charts?.url ?? "https://helm.cilium.io";
    const values = pulumi
      .output(args.underlay)
      .apply((underlay) => ciliumValues({ config, nodeCount: config.nodes.length, underlay }));
    // Shown by `helm history`. The provider answers with other values than it was given; this text it leaves as it is.
    const description = pulumi
      .jsonStringify([chart, repo, config.cilium.version, values])
      .apply((text) => `tailkube: ${fingerprint([text])}`);
    this.release = new Release(
      `${name}-release`,
      {
        ...release,
        chart,
        description,
        version: config.cilium.version,
        ...(config.cilium.chart === undefined
          ? {
              repositoryOpts: {
                repo,
                ...(config.mirrors.charts?.caFile !== undefined && { caFile: inProject(config.mirrors.charts.caFile) }),
              },
            }
          : {}),
        values,
        // Waited for by name, with what is wrong, by the next stage; and an interrupted wait would leave the release
        // pending, a state that Helm refuses to go on from.
        skipAwait: true,
      },
      // With the last control plane gone there is no API left to ask; the hosts' own clean-up takes Cilium away. And a release that
      // leaves the state alone (pulumi destroy --target) must not take the network from a cluster that lives.
      {
        parent: this,
        provider,
        dependsOn: opts?.dependsOn,
        retainOnDelete: true,
        hooks: isMocked() ? {} : { beforeCreate: [clear("create")], beforeUpdate: [clear("update")] },
      },
    );
    noteStep(this.release.description, description);
    this.registerOutputs();
  }
}
