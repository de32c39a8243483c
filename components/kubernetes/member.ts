import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { joinToken } from "./bootstrap-token";
import type { NodeDocumentArgs } from "./kubeadm";
import type { Authorities } from "./authority-values";
import type { Host } from "../hosts/host";
import type { ScriptTarget } from "../hosts/remote-script";

/** A node on its way into the cluster: a host that is in the node network and has its runtime. */
export interface Member {
  node: NodeConfig;
  host: ScriptTarget & Pick<Host, "address">;
  /** The node IP: the host's address in the node network. */
  address: pulumi.Output<string>;
  /** The resolv.conf that the kubelet hands to pods; absolute path. */
  resolvConf: pulumi.Output<string>;
  /**
   * Names this membership: this machine as this node of this stack. The host keeps it when it has joined, and the Node
   * object carries it, so that neither a foreign cluster nor a former machine of the same name is taken for it.
   */
  membershipId: pulumi.Output<string>;
  /** What a worker's host has made for its token to be its own; empty on control planes, which have none. */
  nonce: pulumi.Output<string>;
}

/** Where a joiner puts the credentials that it joins by; host/stages/control-plane.sh and host/stages/join.sh have the same. */
export const discoveryKubeconfig = "/run/tailkube/discovery.conf";
/** Bound on one run of kubeadm, in seconds: image pulls on a slow line and a slow disk's etcd included. */
export const kubeadmSeconds = 600;
/** Bound on an admission, in seconds: the join itself, and the wait for a joiner that is still starting its own. */
export const joinSeconds = 900;

/** The bootstrap token that lets a worker in. Secret. */
export function workerToken(member: Member, authorities: pulumi.Output<Authorities>): pulumi.Output<string> {
  return pulumi
    .all([authorities, member.membershipId, member.nonce])
    .apply(([{ seed }, membershipId, nonce]) => joinToken(seed, { name: member.node.name, membershipId, nonce }));
}

/** The variables of host/lib/node.sh. */
export function nodeVariables(config: ClusterConfig, member: Member): Record<string, pulumi.Input<string>> {
  return {
    TK_NODE_NETWORK: config.nodeNetwork,
    TK_ENDPOINT: config.endpoint.address,
    TK_ENDPOINT_PORT: `${config.endpoint.port}`,
    TK_API_PORT: `${config.apiServerPort}`,
    TK_ROLE: member.node.role,
    TK_NODE_IP: member.address,
    TK_POD_ROUTING: config.podRouting,
    TK_KUBEADM_SECONDS: `${kubeadmSeconds}`,
  };
}

/** What to look at when a node hears nothing from the endpoint. */
export function endpointAdvice({ nodeNetwork, endpoint, tailnet }: ClusterConfig): string {
  return nodeNetwork === "tailnet"
    ? `Is the route ${endpoint.address}/32 approved in the tailnet, and does its policy let ${tailnet.tag} reach it?`
    : "Does it lead to a control plane whose API server runs, and does no firewall stand between?";
}

export function nodeDocument(member: Member, nodeIp: string, resolvConf: string): NodeDocumentArgs {
  const { name, labels, taints, role } = member.node;
  return { name, nodeIp, labels, taints, role, resolvConf };
}
