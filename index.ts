import { Cluster } from "./components/cluster/cluster";
import { lastOutputs } from "./preview/previous-outputs";
import { loadStackConfig } from "./config/stack";
import { setProjectFolder } from "./model/project";

// Pulumi.yaml's `main` is in program/.
setProjectFolder("..");
const name = "cluster";
const cluster = new Cluster(name, loadStackConfig(name), lastOutputs);

/** Administrator's kubeconfig by the endpoint, for machines that are in the tailnet. */
export const kubeconfig = cluster.kubeconfig;
/** Administrator's kubeconfig by the first control plane, as this machine reaches it. */
export const directKubeconfig = cluster.directKubeconfig;
/** The nodes with their addresses. */
export const nodes = cluster.nodes;
/** When the certificates of each control plane end. */
export const certificates = cluster.certificates;
/** When the cluster's authorities end, which nothing renews. */
export const authorities = cluster.authorities;
/** What the cluster is at. */
export const versions = cluster.versions;
/** What else the last run has made: the next preview tells by it what will change. */
export const applied = cluster.applied;
