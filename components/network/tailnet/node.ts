import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "../../../model/config";
import { servingNodes } from "../../../model/nodes";
import { plainText } from "../../../model/messages";
import { balancerWatchScript, networkScript, scriptText } from "../../hosts/script-text";
import { GuardedScript } from "../../hosts/guarded-script";
import { ipv4Result } from "../../hosts/remote-script";
import type { ScriptTarget } from "../../hosts/script-target";
import { packageVariables } from "../../hosts/packages";
import { proxyVariables, tailscaledProxyVariables } from "../../hosts/proxy";
import { udpGroVariables } from "./udp-gro";

export interface JoinTailnetArgs {
  host: ScriptTarget;
  config: ClusterConfig;
  authKey: pulumi.Input<string>;
  /** Tags that the device must get from the auth key. */
  tags: readonly string[];
  node: NodeConfig;
  /** `USER:PASSWORD` of the proxy; secret. */
  proxyCredentials?: pulumi.Output<string> | undefined;
}

/** What a host in its node network reports. */
export interface JoinedNetwork {
  resource: pulumi.Resource;
  /** The node IP: in a tailnet, this device's IPv4 address there. */
  address: pulumi.Output<string>;
  /** The device's stable ID at the coordination server; empty in a LAN. */
  deviceId: pulumi.Output<string>;
  /** Whether this program made the login or it existed before; undefined in a LAN, or if a version before 0.2 ran the stage. */
  login: pulumi.Output<string | undefined>;
  /** For a login that existed before: the routes (networks) that were approved for the device. */
  approvedRoutes: pulumi.Output<string[]>;
}

/** Installs tailscaled on a host and logs it in, and sets up units that later stages need. */
export function joinTailnet(name: string, args: JoinTailnetArgs, opts: pulumi.CustomResourceOptions): JoinedNetwork {
  const { config, host } = args;
  const script = new GuardedScript(
    name,
    {
      host,
      stage: "tailnet",
      variables: {
        TK_AUTH_KEY: args.authKey,
        TK_LOGIN_SERVER: config.tailnet.loginServer,
        TK_TAGS: args.tags.join(" "),
        TK_BUNDLE: config.bundle ?? "",
        TK_TAILSCALE_VERSION: config.tailscaleVersion ?? "",
        ...packageVariables(config, "tailscale"),
        ...proxyVariables({ config, node: args.node, credentials: args.proxyCredentials }),
        ...tailscaledProxyVariables({ config, node: args.node }),
        TK_ENDPOINT: config.endpoint.address,
        TK_POD_CIDR: config.podCidr,
        TK_POD_ROUTING: config.podRouting,
        TK_HOST_ROUTES: scriptText("installed/routes.sh"),
        TK_HOST_NETWORK: networkScript(),
        TK_HOST_WAIT_ADDRESS: scriptText("installed/wait-address.sh"),
        TK_HOST_CILIUM: scriptText("installed/cilium.sh"),
        ...loadBalancerVariables(config, args.node),
        ...udpGroVariables(config),
      },
      timeoutSeconds: 600,
    },
    // Together with what depends on the old device's ID: that device has the node's name until it is deleted.
    { ...opts, deleteBeforeReplace: true },
  );
  script.result.apply((r) => {
    // Only a matter of speed.
    for (const line of (r.withoutUdpGro ?? "").split("\n").filter(Boolean)) {
      void pulumi.log.warn(
        `${host.name}: tailnet.udpGroForwarding has no effect, or only in part: ${line}. Nothing in the cluster depends on it.`,
        script,
      );
    }
    // An existing login keeps its name.
    if (r.login !== "found" && r.deviceName !== host.name) {
      void pulumi.log.warn(
        `${host.name} is called ${r.deviceName} in the tailnet, because another device has its name. If that is a former machine of this ` +
          "node, delete it in the tailnet's console; if it is a node of another cluster, leave it. Nothing in the cluster depends on the name.",
        script,
      );
    }
  });
  return {
    resource: script,
    address: script.result.apply((r) => ipv4Result(`${host.name}: node IP`, r.address)),
    deviceId: script.result.apply((r) => r.deviceId ?? ""),
    login: script.result.apply((r) => r.login),
    approvedRoutes: script.result.apply((r) => (r.approvedRoutes ?? "").split(" ").filter(Boolean)),
  };
}

/** What host/lib/network/load-balancer-route.sh needs; nothing if the node does not take traffic for LoadBalancer services. */
function loadBalancerVariables(config: ClusterConfig, node: NodeConfig): Record<string, string> {
  const serving = servingNodes(config.nodes);
  if (config.loadBalancer === undefined || !serving.includes(node)) return {};
  const { hostProfile, cilium } = config;
  return {
    TK_LOAD_BALANCER: config.loadBalancer.cidr,
    TK_LOAD_BALANCER_ALONE: serving.length === 1 ? "yes" : "no",
    TK_HOST_LOAD_BALANCER: balancerWatchScript(),
    // The ports' defaults are those of KubeletConfiguration and of Cilium's chart.
    TK_KUBELET_HEALTH: plainText(hostProfile.kubelet.healthzPort ?? 10248),
    TK_CILIUM_HEALTH: plainText(cilium.values.healthPort ?? hostProfile.ciliumValues.healthPort ?? 9879),
  };
}
