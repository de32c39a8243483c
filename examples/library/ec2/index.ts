// Three control planes in three zones and two workers, all on EC2, in a new VPC. Needs the package @pulumi/aws.
import * as pulumi from "@pulumi/pulumi";
import { Cluster } from "tailkube";

const config = new pulumi.Config();

const cluster = new Cluster("example", {
  ec2: {
    region: "eu-central-1",
    // Where your connections come from.
    operatorCidrs: ["198.51.100.7/32"],
    architecture: "arm64",
    os: "debian",
  },
  nodes: [
    { name: "cp1", role: "control-plane", host: { kind: "ec2" } },
    { name: "cp2", role: "control-plane", host: { kind: "ec2" } },
    { name: "cp3", role: "control-plane", host: { kind: "ec2" } },
    { name: "w1", role: "worker", host: { kind: "ec2", instanceType: "m7g.large" } },
    { name: "w2", role: "worker", host: { kind: "ec2", instanceType: "m7g.large" } },
  ],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
  tailnet: { controlPlaneTag: "tag:k8s-control-plane" },
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});

export const kubeconfig = cluster.kubeconfig;
