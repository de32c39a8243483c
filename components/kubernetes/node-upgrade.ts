import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { upgradeConfiguration } from "./kubeadm";
import { scriptText } from "../hosts/script-text";
import type { Authorities } from "./authority-values";
import { RemoteScript } from "../hosts/remote-script";
import { type Member, nodeVariables } from "./member";
import { containerdVariables } from "./node-runtime";
import { packageVariables } from "../hosts/packages";
import { clusterDocument, controlPlaneSecurityVariables, workerSecurityVariables } from "./hardening/variables";

export interface UpgradeNodeArgs {
  config: ClusterConfig;
  member: Member;
  /** The version of Kubernetes on the host, with its `v`, as its runtime found or left it. */
  installed: pulumi.Output<string>;
  authorities: pulumi.Output<Authorities>;
}

/** Bound on kubeadm, in seconds: it waits five minutes for each static pod, and puts all of them back if one does not come. */
const kubeadmUpgradeSeconds = 1500;
/** What else may take its time: images and packages, etcd's snapshot, restarts, the node's readiness. */
const otherSeconds = 3600;

export interface NodeUpgrade {
  resource: pulumi.Resource;
  /** When the first of this control plane's certificates ends, RFC 3339; empty on workers and before the first change. */
  certificateExpiry: pulumi.Output<string>;
  /** What this control plane does with Secrets since the last change: `wanted` or `reading`; empty as above. */
  encryption: pulumi.Output<string>;
}

/**
 * The versions that a node runs once it has joined: Kubernetes, containerd, Tailscale, on control planes the age of the
 * certificates, and what the node is hardened by. Nothing runs when it is made, for a new node has them from its runtime; a
 * change drains the node, upgrades it, waits until it is healthy and gives it back. One node goes at a time: each `dependsOn` the one before it.
 */
export function upgradeNode(name: string, args: UpgradeNodeArgs, opts: pulumi.CustomResourceOptions): NodeUpgrade {
  const { config, member } = args;
  const isControlPlane = member.node.role === "control-plane";
  // The only node has nowhere to send its pods to, and CoreDNS would hold the drain up in vain.
  const drainSeconds = config.nodes.length > 1 ? config.drainSeconds : 0;
  const upgrade = new RemoteScript(
    name,
    {
      host: member.host,
      stage: "upgrade",
      variables: {
        ...nodeVariables(config, member),
        ...containerdVariables(config),
        ...packageVariables(config, "kubernetes", "docker", "tailscale"),
        TK_KUBERNETES_VERSION: config.kubernetesVersion,
        TK_TAILSCALE_VERSION: config.tailscaleVersion ?? "",
        TK_BUNDLE: config.bundle ?? "",
        TK_IMAGE_PULL_POLICY: config.hostProfile.imagePullPolicy ?? "IfNotPresent",
        TK_KUBEADM_DOCUMENT: upgradeConfiguration({ ...config, profile: config.hostProfile }),
        TK_KUBEADM_SECONDS: `${kubeadmUpgradeSeconds}`,
        TK_DRAIN_SECONDS: `${drainSeconds}`,
        // A worker has none, and is not to be looked at when it changes.
        TK_CERTIFICATE_RENEWAL: isControlPlane ? config.certificateRenewal : "",
        ...(isControlPlane ? controlPlaneSecurityVariables(config, args.authorities) : workerSecurityVariables(config)),
        TK_CLUSTER_DOCUMENT: isControlPlane ? clusterDocument(config, member) : "",
        TK_HOST_ETCD: isControlPlane ? scriptText("installed/etcd.sh") : "",
      },
      // A run that failed before it came to this resource may have left another version than the one of now.
      updateOnly: args.installed.apply((version) => version === `v${config.kubernetesVersion}`),
      timeoutSeconds: drainSeconds + kubeadmUpgradeSeconds + otherSeconds,
    },
    opts,
  );
  return {
    resource: upgrade,
    certificateExpiry: upgrade.result.apply((r) => r.certificateExpiry ?? ""),
    encryption: upgrade.result.apply((r) => r.encryption ?? ""),
  };
}
