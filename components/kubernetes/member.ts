import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import { joinToken } from "./bootstrap-token";
import { initConfiguration, joinConfiguration, type NodeDocumentArgs } from "./kubeadm";
import type { Authorities } from "./authority-values";
import { kubeletSettings } from "./settings/components";
import type { Host } from "../hosts/host";
import type { ScriptTarget } from "../hosts/script-target";

/** A node that can join the cluster: its host is in the node network and has its runtime. */
export interface Member {
  node: NodeConfig;
  host: ScriptTarget & Pick<Host, "address">;
  /** The node IP: the host's address in the node network. */
  address: pulumi.Output<string>;
  /** The resolv.conf that the kubelet hands to pods; absolute path. */
  resolvConf: pulumi.Output<string>;
  /**
   * Names this membership: this machine as this node of this stack. The host and the Node object keep it, so that neither another
   * cluster nor a former machine with the same name is mistaken for it.
   */
  membershipId: pulumi.Output<string>;
  /** Random text from a worker's host, which makes its token unique; empty on control planes. */
  nonce: pulumi.Output<string>;
}

/** Where a joining host stores its credentials; host/stages/control-plane.sh and host/stages/join.sh use the same path. */
const discoveryKubeconfig = "/run/tailkube/discovery.conf";
/** Time limit of one run of kubeadm, in seconds, including image pulls on a slow connection and etcd on a slow disk. */
export const kubeadmSeconds = 600;
/** Time limit of an admission, in seconds: the join, and the wait for its start. */
export const joinSeconds = 900;

/** The bootstrap token that lets a worker in. Secret. */
export function workerToken(member: Member, authorities: pulumi.Output<Authorities>): pulumi.Output<string> {
  return pulumi
    .all([authorities, member.membershipId, member.nonce])
    .apply(([{ seed }, membershipId, nonce]) => joinToken(seed, { name: member.node.name, membershipId, nonce }));
}

/** `NAME=VALUE` of each member, with spaces between them. */
export function perMember(
  members: readonly Member[],
  value: (member: Member) => pulumi.Output<string>,
): pulumi.Output<string> {
  return pulumi
    .all(members.map(value))
    .apply((values) => values.map((text, i) => `${members[i]!.node.name}=${text}`).join(" "));
}

/** The variables of host/lib/node/kubeadm.sh. */
export function nodeVariables(config: ClusterConfig, member: Member): Record<string, pulumi.Input<string>> {
  return {
    TK_NODE_NETWORK: config.nodeNetwork,
    TK_ENDPOINT: config.endpoint.address,
    TK_ENDPOINT_PORT: `${config.endpoint.port}`,
    ...(config.endpoint.kind !== undefined && { TK_ENDPOINT_KIND: config.endpoint.kind }),
    TK_API_PORT: `${config.apiServerPort}`,
    TK_ROLE: member.node.role,
    TK_NODE_IP: member.address,
    TK_POD_ROUTING: config.podRouting,
    TK_KUBEADM_SECONDS: `${kubeadmSeconds}`,
  };
}

/** What to check if a node gets no answer from the endpoint. */
export function endpointAdvice({ nodeNetwork, endpoint, tailnet }: ClusterConfig): string {
  if (endpoint.kind === "vip") {
    return "Does a control plane have the address (journalctl -u tailkube-endpoint), and does no firewall block it or ARP?";
  }
  return nodeNetwork === "tailnet"
    ? `Is the route ${endpoint.address}/32 approved in the tailnet, and does its policy let ${tailnet.tag} reach it?`
    : "Does the endpoint lead to a control plane with a running API server, and does no firewall block it?";
}

/**
 * The documents from which kubeadm makes a control plane and, after a change, its manifests.
 *
 * @param node replaces fields of the node.
 */
export function initDocument(
  config: ClusterConfig,
  member: Member,
  node: Partial<NodeDocumentArgs> = {},
): pulumi.Output<string> {
  return pulumi.all([member.address, member.resolvConf, member.host.address]).apply(([nodeIp, resolvConf, host]) =>
    initConfiguration({
      ...config,
      // The address that the operator's machine uses.
      certSANs: [host],
      profile: config.hostProfile,
      resolvConf,
      node: { ...nodeDocument(config, member, nodeIp, resolvConf), ...node },
    }),
  );
}

/** The document of `kubeadm join`. */
export function joinDocument(config: ClusterConfig, member: Member): pulumi.Output<string> {
  return pulumi.all([member.address, member.resolvConf]).apply(([nodeIp, resolvConf]) =>
    joinConfiguration({
      endpoint: config.endpoint,
      apiServerPort: config.apiServerPort,
      node: nodeDocument(config, member, nodeIp, resolvConf),
      discovery: { kubeConfigPath: discoveryKubeconfig },
      profile: config.hostProfile,
    }),
  );
}

function nodeDocument(config: ClusterConfig, member: Member, nodeIp: string, resolvConf: string): NodeDocumentArgs {
  const { name, labels, taints, role } = member.node;
  const hasPatches = kubeletSettings(config, member.node) !== undefined;
  return { name, nodeIp, labels, taints, role, resolvConf, hasPatches };
}
