// Three control planes in three places and two workers, on a tailnet, and a chart in the cluster. Needs the package @pulumi/kubernetes.
import { Release } from "@pulumi/kubernetes/helm/v3";
import * as pulumi from "@pulumi/pulumi";
import { Cluster } from "tailkube";

const config = new pulumi.Config();

const cluster = new Cluster("home", {
  nodes: [
    { name: "cp1", role: "control-plane", host: { address: "192.0.2.11" } },
    { name: "cp2", role: "control-plane", host: { address: "198.51.100.12", user: "admin" } },
    { name: "cp3", role: "control-plane", host: { address: "cp3.example.com", port: 2222 } },
    { name: "w1", role: "worker", host: { address: "192.0.2.21" }, labels: { "example.com/disk": "ssd" } },
    // Change the text when the machine is replaced.
    { name: "w2", role: "worker", host: { address: "203.0.113.22", identity: "2026-11" } },
  ],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
  tailnet: { controlPlaneTag: "tag:k8s-control-plane" },
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});

new Release(
  "metrics-server",
  {
    chart: "metrics-server",
    namespace: "kube-system",
    repositoryOpts: { repo: "https://kubernetes-sigs.github.io/metrics-server" },
  },
  { provider: cluster.provider },
);

export const kubeconfig = cluster.kubeconfig;
export const nodes = cluster.nodes;
