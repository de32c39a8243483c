// Three control planes and two workers on one network, without a tailnet.
import * as pulumi from "@pulumi/pulumi";
import { Cluster } from "tailkube";

const config = new pulumi.Config();

const cluster = new Cluster("rack", {
  nodeNetwork: "lan",
  lan: { cidr: "192.168.1.0/24" },
  // Of keepalived or a load balancer; it must lead to a ready control plane.
  endpoint: { address: "192.168.1.10" },
  nodes: [
    ...[11, 12, 13].map((last, i) => ({
      name: `cp${i + 1}`,
      role: "control-plane" as const,
      host: { address: `192.168.1.${last}` },
    })),
    ...[21, 22].map((last, i) => ({
      name: `w${i + 1}`,
      role: "worker" as const,
      host: { address: `192.168.1.${last}` },
    })),
  ],
  sshPrivateKey: config.requireSecret("sshPrivateKey"),
});

export const kubeconfig = cluster.kubeconfig;
