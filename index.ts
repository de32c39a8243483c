import { Cluster } from "./components/cluster/cluster";
import { previousOutputs } from "./preview/last-run-outputs";
import { loadStackConfig } from "./config/stack";
import { setProjectFolder } from "./model/project";

// Pulumi.yaml's `main` is in program/.
setProjectFolder("..");
const name = "cluster";
const cluster = new Cluster(name, loadStackConfig(name), previousOutputs);

/** Administrator's kubeconfig through the endpoint, for machines in the tailnet. */
export const kubeconfig = cluster.kubeconfig;
/** Administrator's kubeconfig through the first control plane, at the address that this machine uses. */
export const directKubeconfig = cluster.directKubeconfig;
/** The nodes with their addresses. */
export const nodes = cluster.nodes;
/** When the certificates of each control plane expire. */
export const certificates = cluster.certificates;
/** When the cluster's certificate authorities expire; nothing renews them. */
export const authorities = cluster.authorities;
/** Versions after the last complete run. */
export const versions = cluster.versions;
/** What else the last complete run left; the next preview compares the config with it. */
export const applied = cluster.applied;
/** What the command `tailkube` needs: addresses, host keys, private keys and kubeconfigs. */
export const access = cluster.access;
