import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { fingerprint } from "../../../model/machine";
import { apiServerHardening, controllerManagerHardening, kubeletHardening, schedulerHardening } from "./arguments";
import {
  admissionConfiguration,
  auditPolicy,
  authenticationConfiguration,
  encryptionConfiguration,
  encryptionKey,
} from "./files";
import type { Authorities } from "../authority-values";
import { givenArguments, kubeletSettings } from "../settings/components";

/**
 * The variables of host/lib/security/node-hardening.sh: a name for a node's hardening and settings, without secrets. If it changes, the host
 * applies them again.
 */
export function nodeSecurityVariables(
  config: ClusterConfig,
  node: Pick<NodeConfig, "role" | "kubelet">,
): Record<string, string> {
  const { role } = node;
  const kubelet = kubeletSettings(config, node);
  const etcd = role === "control-plane" ? givenArguments("etcd", config.settings) : [];
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
    // Only if there are any, so that they change nothing for others.
    ...(kubelet !== undefined || etcd.length > 0 ? [{ kubelet, etcd }] : []),
  ];
  return { TK_SECURITY: fingerprint(wanted) };
}

/** The name does not reveal the key. */
const keyName = (authorities: pulumi.Output<Authorities>) =>
  pulumi.unsecret(authorities.apply(({ seed }) => encryptionKey(seed).name));

/** The name of the key for Secrets, and whether Secrets are encrypted. */
export function encryptionVariables(
  config: ClusterConfig,
  authorities: pulumi.Output<Authorities>,
): Record<string, pulumi.Input<string>> {
  return {
    TK_ENCRYPTION_KEY: keyName(authorities),
    TK_ENCRYPTS: config.security.secretsEncryption ? "1" : "",
  };
}

/** The variables of host/lib/security/node-hardening.sh and api-server-files.sh on a worker, which has no API server. */
export function workerSecurityVariables(config: ClusterConfig, node: NodeConfig): Record<string, string> {
  const none = ["ENCRYPTION_KEY", "ENCRYPTION", "ENCRYPTION_READ", "AUTHENTICATION", "ADMISSION", "AUDIT_POLICY"];
  return {
    ...nodeSecurityVariables(config, node),
    ...Object.fromEntries(none.map((name) => [`TK_${name}`, ""])),
  };
}

/** The variables of host/lib/security/node-hardening.sh and api-server-files.sh on a control plane. */
export function controlPlaneSecurityVariables(
  config: ClusterConfig,
  node: NodeConfig,
  authorities: pulumi.Output<Authorities>,
): Record<string, pulumi.Input<string>> {
  const encryption = (encrypts: boolean) =>
    authorities.apply(({ seed }) => encryptionConfiguration(encryptionKey(seed), encrypts));
  return {
    ...nodeSecurityVariables(config, node),
    TK_ENCRYPTION_KEY: keyName(authorities),
    TK_ENCRYPTION: encryption(config.security.secretsEncryption),
    TK_ENCRYPTION_READ: encryption(false),
    TK_AUTHENTICATION: authenticationConfiguration(config) ?? "",
    TK_ADMISSION: admissionConfiguration(config) ?? "",
    TK_AUDIT_POLICY: config.security.auditLog ? auditPolicy() : "",
  };
}
