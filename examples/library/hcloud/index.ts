// VMs of another provider, here Hetzner Cloud: three control planes in three places and a worker. Needs the package @pulumi/hcloud.
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { Cluster } from "tailkube";

const config = new pulumi.Config();
const key = new hcloud.SshKey("operator", { publicKey: config.require("sshPublicKey") });

function vm(name: string, location: string, serverType = "cx33") {
  const server = new hcloud.Server(name, { image: "debian-12", serverType, location, sshKeys: [key.id] });
  // A new server is another machine, also at the same address.
  return { address: server.ipv4Address, identity: server.id };
}

const cluster = new Cluster("cloud", {
  nodes: [
    { name: "cp1", role: "control-plane", host: vm("cp1", "nbg1") },
    { name: "cp2", role: "control-plane", host: vm("cp2", "fsn1") },
    { name: "cp3", role: "control-plane", host: vm("cp3", "hel1") },
    { name: "w1", role: "worker", host: vm("w1", "nbg1", "cx43") },
  ],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
  tailnet: { controlPlaneTag: "tag:k8s-control-plane" },
  tailnetAuthKey: config.requireSecret("tailnetAuthKey"),
  tailnetControlPlaneAuthKey: config.requireSecret("tailnetControlPlaneAuthKey"),
});

export const kubeconfig = cluster.kubeconfig;
