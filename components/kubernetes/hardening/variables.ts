import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, Role } from "../../../model/config";
import { initConfiguration } from "../kubeadm";
import { apiServerHardening, controllerManagerHardening, kubeletHardening, schedulerHardening } from "./arguments";
import {
  admissionConfiguration,
  auditPolicy,
  authenticationConfiguration,
  encryptionConfiguration,
  encryptionKey,
} from "./files";
import type { Authorities } from "../authority-values";
import { type Member, nodeDocument } from "../member";

/** A node that was secured by another name is secured anew. Of no secret, and the same on all nodes of a role. */
function securityName(config: ClusterConfig, role: Role): string {
  const wanted = [
    kubeletHardening(config),
    ...(role === "control-plane"
      ? [
          apiServerHardening(config),
          controllerManagerHardening(config),
          schedulerHardening(config),
          authenticationConfiguration(config) ?? "",
          admissionConfiguration(config) ?? "",
          auditPolicy(),
          config.security.secretsEncryption,
        ]
      : []),
  ];
  return createHash("sha256").update(JSON.stringify(wanted)).digest("hex").slice(0, 16);
}

/** The variables of host/lib/node-hardening.sh. */
export function nodeSecurityVariables(config: ClusterConfig, role: Role): Record<string, string> {
  return { TK_SECURITY: securityName(config, role) };
}

/** It tells nothing of the key. */
const keyName = (authorities: pulumi.Output<Authorities>) =>
  pulumi.unsecret(authorities.apply(({ seed }) => encryptionKey(seed).name));

/** The name of the key for Secrets, and whether it is used. */
export function encryptionVariables(
  config: ClusterConfig,
  authorities: pulumi.Output<Authorities>,
): Record<string, pulumi.Input<string>> {
  return {
    TK_ENCRYPTION_KEY: keyName(authorities),
    TK_ENCRYPTS: config.security.secretsEncryption ? "1" : "",
  };
}

/** The variables of host/lib/node-hardening.sh and host/lib/api-server-files.sh on a worker, which has no API server. */
export function workerSecurityVariables(config: ClusterConfig): Record<string, string> {
  const none = ["ENCRYPTION_KEY", "ENCRYPTION", "ENCRYPTION_READ", "AUTHENTICATION", "ADMISSION", "AUDIT_POLICY"];
  return {
    ...nodeSecurityVariables(config, "worker"),
    ...Object.fromEntries(none.map((name) => [`TK_${name}`, ""])),
  };
}

/** The variables of host/lib/node-hardening.sh and host/lib/api-server-files.sh on a control plane. */
export function controlPlaneSecurityVariables(
  config: ClusterConfig,
  authorities: pulumi.Output<Authorities>,
): Record<string, pulumi.Input<string>> {
  const encryption = (encrypts: boolean) =>
    authorities.apply(({ seed }) => encryptionConfiguration(encryptionKey(seed), encrypts));
  return {
    ...nodeSecurityVariables(config, "control-plane"),
    TK_ENCRYPTION_KEY: keyName(authorities),
    TK_ENCRYPTION: encryption(config.security.secretsEncryption),
    TK_ENCRYPTION_READ: encryption(false),
    TK_AUTHENTICATION: authenticationConfiguration(config) ?? "",
    TK_ADMISSION: admissionConfiguration(config) ?? "",
    TK_AUDIT_POLICY: config.security.auditLog ? auditPolicy() : "",
  };
}

/** The cluster's documents as this control plane writes its manifests by them. */
export function clusterDocument(config: ClusterConfig, member: Member): pulumi.Output<string> {
  return pulumi.all([member.address, member.resolvConf, member.host.address]).apply(([nodeIp, resolvConf, host]) =>
    initConfiguration({
      ...config,
      // What the operator's machine calls this one.
      certSANs: [host],
      profile: config.hostProfile,
      resolvConf,
      // Labels and taints are of no account after the join, and a changed one is no reason to look at the node.
      node: { ...nodeDocument(member, nodeIp, resolvConf), labels: {}, taints: [] },
    }),
  );
}
