import * as pulumi from "@pulumi/pulumi";
import { Cluster, NodeArgs } from "tailkube";

const config = new pulumi.Config();

/** The hosts of a key of the stack's config, as nodes that are called cp1, cp2, … or w1, w2, … */
function nodes(key: string, role: NodeArgs["role"], prefix: string): NodeArgs[] {
  const addresses = (config.get(key) || "").split(",").map((address) => address.trim());
  return addresses
    .filter((address) => address !== "")
    .map((address, i) => ({ name: `${prefix}${i + 1}`, role, host: { address, user: config.get("sshUser") } }));
}

const cluster = new Cluster("cluster", {
  clusterName: pulumi.getProject(),
  nodes: [...nodes("controlPlanes", "control-plane", "cp"), ...nodes("workers", "worker", "w")],
  ssh: { privateKeyFile: config.require("sshPrivateKeyFile") },
  tailnet: { controlPlaneTag: "tag:k8s-control-plane" },
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});

export const kubeconfig = cluster.kubeconfig;
export const clusterNodes = cluster.nodes;
