// Not from the package's index, which takes 0.1 s to load.
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
  /** The administrator's kubeconfig, with a server that this machine can reach. */
  kubeconfig: pulumi.Output<string>;
}

/** Cilium as a Helm release, pinned to the node network's interfaces. finalize waits until it is ready. */
export class Cilium extends pulumi.ComponentResource {
  public readonly release: Release;

  constructor(name: string, args: CiliumArgs, opts?: pulumi.ComponentResourceOptions) {
    super("tailkube:network:Cilium", name, {}, opts);
    const { config } = args;
    const provider = new Provider(
      `${name}-kubernetes`,
      {
        kubeconfig: args.kubeconfig,
        // A new kubeconfig of the same cluster must not replace the resources in it.
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
    // Shown by `helm history`. The provider returns changed values, but this text unchanged.
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
        // The next stage waits, and reports what is wrong. An interrupted wait would leave the release pending, and Helm does not
        // continue from that state.
        skipAwait: true,
      },
      // Without a control plane there is no API, and the hosts' cleanup removes Cilium. If only the release leaves the state (pulumi
      // destroy --target), the running cluster must keep its network.
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
