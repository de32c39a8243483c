import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { upgradeConfiguration } from "./kubeadm";
import { scriptText } from "../hosts/script-text";
import type { Authorities } from "./authority-values";
import { remoteScript } from "../hosts/remote-script";
import { initDocument, type Member, nodeVariables } from "./member";
import { containerdVariables } from "./node-runtime";
import { packageVariables } from "../hosts/packages";
import { proxyVariables, tailscaledProxyVariables } from "../hosts/proxy";
import { controlPlaneSecurityVariables, workerSecurityVariables } from "./hardening/variables";
import { kubeletSettings } from "./settings/components";
import { componentSettingsVariables, type ExtraFiles, kubeletSettingsVariables } from "./settings/variables";

export interface UpgradeNodeArgs {
  config: ClusterConfig;
  member: Member;
  /** The Kubernetes version on the host after the runtime stage, with its `v`. */
  installed: pulumi.Output<string>;
  authorities: pulumi.Output<Authorities>;
  extraFiles?: ExtraFiles;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
}

/** Time limit of kubeadm, in seconds: it waits five minutes for each static pod, and restores all of them if one fails. */
const kubeadmUpgradeSeconds = 1500;
/** Time for everything else: images and packages, etcd's snapshot, restarts, the node's readiness. */
const otherSeconds = 3600;

export interface NodeUpgrade {
  resource: pulumi.Resource;
  /** When the first of this control plane's certificates expires, RFC 3339; empty on workers and before the first change. */
  certificateExpiry: pulumi.Output<string>;
  /** This control plane's encryption of Secrets after the last change: `wanted` or `reading`; empty as above. */
  encryption: pulumi.Output<string>;
}

/**
 * Upgrades a node that has joined: versions of Kubernetes, containerd and Tailscale, their proxy, certificates of control planes, hardening, and
 * Kubernetes' own settings.
 * Nothing runs for a new node, which has all of this from its runtime. A change drains the node, upgrades it, waits until it is healthy
 * and uncordons it. `dependsOn` has control planes upgraded one at a time, and then `maxUnavailableWorkers` workers.
 */
export function upgradeNode(name: string, args: UpgradeNodeArgs, opts: pulumi.CustomResourceOptions): NodeUpgrade {
  const { config, member } = args;
  const isControlPlane = member.node.role === "control-plane";
  // The pods of the only node have nowhere to go, and CoreDNS would block the drain.
  const drainSeconds = config.nodes.length > 1 ? config.drainSeconds : 0;
  const upgrade = remoteScript(
    name,
    {
      host: member.host,
      stage: "upgrade",
      variables: {
        ...nodeVariables(config, member),
        ...containerdVariables(config),
        ...packageVariables(config, "kubernetes", "docker", "tailscale"),
        ...proxyVariables({ config, node: member.node, credentials: args.proxyCredentials }),
        ...tailscaledProxyVariables({ config, node: member.node }),
        TK_KUBERNETES_VERSION: config.kubernetesVersion,
        TK_TAILSCALE_VERSION: config.tailscaleVersion ?? "",
        TK_BUNDLE: config.bundle ?? "",
        TK_IMAGE_PULL_POLICY: config.hostProfile.imagePullPolicy ?? "IfNotPresent",
        TK_KUBEADM_DOCUMENT: upgradeConfiguration({
          ...config,
          profile: config.hostProfile,
          hasPatches: kubeletSettings(config, member.node) !== undefined,
        }),
        TK_KUBEADM_SECONDS: `${kubeadmUpgradeSeconds}`,
        TK_DRAIN_SECONDS: `${drainSeconds}`,
        // Workers have no such certificates, and must not run this stage when it changes.
        TK_CERTIFICATE_RENEWAL: isControlPlane ? config.certificateRenewal : "",
        ...(isControlPlane
          ? controlPlaneSecurityVariables(config, member.node, args.authorities)
          : workerSecurityVariables(config, member.node)),
        ...kubeletSettingsVariables(config, member.node),
        ...componentSettingsVariables(config, member.node, args.extraFiles),
        // Labels and taints have no effect after the join, and a change of them must not run the stage.
        TK_CLUSTER_DOCUMENT: isControlPlane ? initDocument(config, member, { labels: {}, taints: [] }) : "",
        TK_HOST_ETCD: isControlPlane ? scriptText("installed/etcd.sh") : "",
      },
      // An earlier run that failed before this resource may have left another version.
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
