import * as pulumi from "@pulumi/pulumi";
import { Cluster, ClusterArgs } from "tailkube";

const config = new pulumi.Config();
export const { nodes, directKubeconfig } = new Cluster("home", {
  ...config.requireObject<Omit<ClusterArgs, "nodes">>("lab"),
  nodes: [
    { name: "cp1", role: "control-plane", host: { address: "172.31.77.11" } },
    { name: "cp2", role: "control-plane", host: { address: "172.31.77.12" } },
    { name: "cp3", role: "control-plane", host: { address: "172.31.77.13" } },
    { name: "w1", role: "worker", host: { address: "172.31.77.21" } },
  ],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});
