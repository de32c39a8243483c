import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "../../model/config";
import { approverScript, endpointWatchScript, scriptText, vipWatchScript } from "../hosts/script-text";
import type { Authorities } from "./authority-values";
import { remoteScript } from "../hosts/remote-script";
import { checksCommand } from "../hosts/checks-command";
import { endpointAdvice, initDocument, joinDocument, kubeadmSeconds, type Member, nodeVariables } from "./member";
import { type RoundTrips, roundTripsOf } from "./round-trips";
import { controlPlaneSecurityVariables } from "./hardening/variables";
import { longestRoundTrip } from "./settings/etcd-timing";
import { componentSettingsVariables, type ExtraFiles, kubeletSettingsVariables } from "./settings/variables";

export interface JoinControlPlaneArgs {
  config: ClusterConfig;
  member: Member;
  authorities: pulumi.Output<Authorities>;
  extraFiles?: ExtraFiles;
  /** Absolute path of an etcd snapshot on this host, which restores a cluster without any control plane. */
  restoreSnapshot?: string | undefined;
}

export interface JoinedControlPlane {
  resource: pulumi.Resource;
  /** The cluster administrator's kubeconfig, with the endpoint as its server. Secret. */
  kubeconfig: pulumi.Output<string>;
  /** The node's own part of the pod CIDR. */
  podCidr: pulumi.Output<string>;
  /** When the first of its original certificates expires, RFC 3339. */
  certificateExpiry: pulumi.Output<string>;
  /** Its encryption of Secrets when it joined: `wanted` (as declared), or `reading` if not all others could read encrypted ones yet. */
  encryption: pulumi.Output<string>;
  /** Its paths to other control planes, when its stage last ran. */
  roundTrips: pulumi.Output<RoundTrips[]>;
}

/**
 * A control plane. It initializes the cluster if the state says so and no declared control plane has an API server; otherwise it joins.
 * In a tailnet, it has the endpoint on its loopback while its own API server is ready: before `kubeadm init`, which reaches the API
 * through it, but only after a join, because a joining host with the endpoint would connect to itself. The same holds in a LAN with
 * `endpoint.kind: vip`, but only the control plane with the lease has it.
 */
export function joinControlPlane(
  name: string,
  args: JoinControlPlaneArgs,
  opts: pulumi.CustomResourceOptions,
): JoinedControlPlane {
  const { config, member, authorities } = args;
  const secret = (key: keyof Authorities) => authorities.apply((values) => values[key]);
  const script = remoteScript(
    name,
    {
      host: member.host,
      stage: "control-plane",
      variables: {
        ...nodeVariables(config, member),
        TK_ENDPOINT_ADVICE: endpointAdvice(config),
        TK_MARK: member.membershipId,
        TK_FOUNDER: secret("founder"),
        TK_POD_CIDR: config.podCidr,
        TK_KUBERNETES_VERSION: config.kubernetesVersion,
        TK_HOST_ENDPOINT: config.endpoint.kind === "vip" ? vipWatchScript() : endpointWatchScript(),
        TK_HOST_ETCD: scriptText("installed/etcd.sh"),
        TK_HOST_CHECKS: checksCommand(),
        TK_HOST_APPROVE: config.security.kubeletServingCertificates ? approverScript() : "",
        ...controlPlaneSecurityVariables(config, member.node, authorities),
        ...kubeletSettingsVariables(config, member.node),
        ...componentSettingsVariables(config, member.node, args.extraFiles),
        TK_ROUND_TRIP_LIMIT: `${longestRoundTrip}`,
        TK_RESTORE: args.restoreSnapshot ?? "",
        TK_INIT_DOCUMENT: initDocument(config, member),
        TK_JOIN_DOCUMENT: joinDocument(config, member),
        TK_CA_CRT: secret("caCrt"),
        TK_CA_KEY: secret("caKey"),
        TK_ETCD_CA_CRT: secret("etcdCaCrt"),
        TK_ETCD_CA_KEY: secret("etcdCaKey"),
        TK_FRONT_PROXY_CA_CRT: secret("frontProxyCaCrt"),
        TK_FRONT_PROXY_CA_KEY: secret("frontProxyCaKey"),
        TK_SA_PUB: secret("saPub"),
        TK_SA_KEY: secret("saKey"),
      },
      secretResult: true,
      // Before kubeadm: an earlier attempt's etcd member, which must become ready or leave, a reset, the minute in which it asks other
      // control planes, and pings to them. After it: the API at the endpoint, the pod CIDR and the kubelet's certificate.
      timeoutSeconds: kubeadmSeconds + 1900,
    },
    opts,
  );
  return {
    resource: script,
    kubeconfig: script.result.apply((r) => r.kubeconfig ?? ""),
    podCidr: pulumi.unsecret(script.result.apply((r) => r.podCidr ?? "")),
    certificateExpiry: pulumi.unsecret(script.result.apply((r) => r.certificateExpiry ?? "")),
    encryption: pulumi.unsecret(script.result.apply((r) => r.encryption ?? "")),
    roundTrips: pulumi.unsecret(script.result.apply((r) => roundTripsOf(member.node.name, r.roundTrips))),
  };
}
