/** The package `tailkube`: a highly available Kubernetes cluster as a component of any Pulumi program. */
import type * as pulumi from "@pulumi/pulumi";
import { Cluster as ClusterComponent } from "./components/cluster/cluster";
import type { ClusterArgs } from "./config/args";
import { readArgs } from "./config/read-args";

/** A cluster on hosts that are reached by SSH, or on machines that it makes on EC2. All that is wrong with `args` is one error. */
export class Cluster extends ClusterComponent {
  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super(name, readArgs(name, args), undefined, opts);
  }
}

export * from "./config/args";
export * from "./model/outputs";
