// One node that is control plane and worker, on a tailnet. More can be added later.
import * as pulumi from "@pulumi/pulumi";
import { Cluster } from "tailkube";

const config = new pulumi.Config();

const cluster = new Cluster("single", {
  nodes: [{ name: "cp1", role: "control-plane", host: { address: "192.0.2.11" } }],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
  tailnet: { controlPlaneTag: "tag:k8s-control-plane" },
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});

export const kubeconfig = cluster.kubeconfig;
