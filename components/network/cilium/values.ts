/** Values of the Cilium chart, which keep pods, services and the endpoint on the node network. */
import type { ClusterConfig } from "../../../model/config";
import { isValues, merge, type Values } from "../../../model/merge";
import { plainText } from "../../../model/messages";
import type { Path, Problem } from "../../../model/problem";

/** Bytes that VXLAN adds to a pod's packet: Ethernet, IPv4, UDP and its own header. */
const vxlanOverhead = 50;

/** The interfaces between the nodes. */
export interface Underlay {
  /** Names, or prefixes and `+`. */
  devices: readonly string[];
  /** The smallest of their MTUs, in bytes. */
  mtu: number;
}

/** The interface that Tailscale makes. */
export function tailnetUnderlay({ tailnet }: Pick<ClusterConfig, "tailnet">): Underlay {
  return { devices: ["tailscale0"], mtu: tailnet.mtu };
}

/** The exact MTU of pods in bytes: that of the interfaces, minus the tunnel's overhead. */
export function podMtu(
  config: Pick<ClusterConfig, "podRouting" | "tailnet">,
  underlay: Pick<Underlay, "mtu"> = tailnetUnderlay(config),
): number {
  return config.podRouting === "native" ? underlay.mtu : underlay.mtu - vxlanOverhead;
}

type PinnedArgs = Pick<
  ClusterConfig,
  "nodeNetwork" | "endpoint" | "podCidr" | "podRouting" | "tunnelPort" | "tailnet" | "loadBalancer" | "hubble"
>;

/** A value that the network or another key depends on, and what a user can change instead, if anything. */
interface Pin {
  path: string[];
  /** Undefined if only the hosts know it. */
  value: unknown;
  instead?: string;
  /** What depends on it. Absent: the cluster's network. */
  dependent?: string;
  /** More config keys that the value depends on. */
  about?: string[];
}

/** Values from a config key or, for a host profile, from a file. */
export interface GivenValues {
  values: Values;
  path: Path;
  file?: string;
}

// In a LAN, `underlay` is unknown until the hosts' facts are known.
export function pins(config: PinnedArgs, underlay: Underlay | undefined): Pin[] {
  const { endpoint } = config;
  const isLan = config.nodeNetwork === "lan";
  const devices = underlay && underlay.devices.length === 1 ? underlay.devices[0] : underlay?.devices;
  return [
    // Auto-detection would use every interface with an address, and the smallest MTU of all (cilium/cilium#14339).
    { path: ["devices"], value: devices, about: ["nodeNetwork"], ...(isLan && { instead: "lan.interface" }) },
    // If there are several, each host has only one of them, and Cilium uses the one with the node IP.
    ...(Array.isArray(devices)
      ? []
      : [{ path: ["nodePort", "directRoutingDevice"], value: devices, about: ["nodeNetwork"] }]),
    {
      path: ["MTU"],
      value: underlay?.mtu,
      instead: isLan ? "the interfaces' MTU on the hosts" : "tailnet.mtu",
      about: ["nodeNetwork"],
    },
    // Without kube-proxy, the API's service address does not work before Cilium does.
    { path: ["kubeProxyReplacement"], value: true },
    { path: ["k8sServiceHost"], value: endpoint.address, instead: "endpoint.address" },
    { path: ["k8sServicePort"], value: endpoint.port, instead: "endpoint.port" },
    // Each node's podCIDR from kubeadm. The chart's own pool is 10.0.0.0/8, which contains the endpoint.
    { path: ["ipam", "mode"], value: "kubernetes" },
    // Masquerading in BPF works only on `devices`: on the NIC, packets of pods would keep addresses that get no answers.
    { path: ["bpf", "masquerade"], value: false },
    ...(announces(config) ? [{ path: ["l2announcements", "enabled"], value: true, about: ["loadBalancer.cidr"] }] : []),
    ...hubblePins(config),
    ...routingPins(config, isLan).map((pin) => ({ ...pin, about: ["network.podRouting", "nodeNetwork"] })),
    // All three read their configuration only at their start: without this, changed values would wait for the next reboot.
    { path: ["rollOutCiliumPods"], value: true },
    { path: ["envoy", "rollOutPods"], value: true },
    { path: ["operator", "rollOutPods"], value: true },
  ];
}

/** Whether Cilium answers ARP for the addresses of LoadBalancer services. In a tailnet, they are a route instead. */
const announces = ({ nodeNetwork, loadBalancer }: Pick<ClusterConfig, "nodeNetwork" | "loadBalancer">) =>
  nodeNetwork === "lan" && loadBalancer !== undefined;

/**
 * Another node answers ARP for a service 3 to 4.1 s after its node has gone: the lease, and client-go's wait between two attempts, the
 * retry period and up to 1.2 times as much (JitterFactor). With the chart's 15 s, 5 s and 2 s it would be up to 20 s. Each service costs
 * its node a write to the API in each retry period, and each other serving node a read. The agents' rate limit is sized for 25 services
 * on one node (https://docs.cilium.io/en/stable/network/l2-announcements/#sizing-client-rate-limit); the chart's would be reached by 5.
 */
const announcementValues: Values = {
  l2announcements: { leaseDuration: "3s", leaseRenewDeadline: "2s", leaseRetryPeriod: "500ms" },
  k8sClientRateLimit: { qps: 50, burst: 100 },
};

/** The relay asks the agents, which have Hubble in them by the chart's default. Without the option nothing of it is pinned. */
function hubblePins({ hubble }: Pick<PinnedArgs, "hubble">): Pin[] {
  if (hubble === undefined) return [];
  const pinned = (name: string, value: boolean, key = "hubble.relay"): Pin[] =>
    ["enabled", "rollOutPods"].map((last) => ({
      path: ["hubble", name, last],
      value,
      dependent: key,
      ...(last === "enabled" ? { instead: key } : { about: [key] }),
    }));
  return [
    { path: ["hubble", "enabled"], value: true, dependent: "hubble.relay", about: ["hubble.relay"] },
    ...pinned("relay", true),
    ...(hubble.ui ? pinned("ui", true, "hubble.ui") : []),
  ];
}

/**
 * Days that Hubble's certificates are valid: as long as the chart's own certificate authority (tls.ca.certValidityDuration). The chart's
 * method `helm` makes them when it installs or upgrades, and from 1.18 on keeps those that exist until they end. Rendered again they
 * are not a change of the release's inputs, so a run without changes shows none. The method `cronJob` would renew them, but it needs one
 * more image, and Helm cannot leave it again: the certificates are then not Helm's, and it refuses to install over them. So neither
 * switching the relay on nor off touches the agents' certificates. host/lib/checks/hubble.sh reports certificates that end.
 */
const hubbleValues: Values = { hubble: { tls: { auto: { certValidityDuration: 1095 } } } };

function routingPins({ podCidr, podRouting, tunnelPort }: PinnedArgs, isLan: boolean): Pin[] {
  return podRouting === "native"
    ? [
        { path: ["routingMode"], value: "native", instead: "network.podRouting" },
        { path: ["ipv4NativeRoutingCIDR"], value: podCidr, instead: "network.podCidr" },
        // In a tailnet, the routes are the tailnet's, because tailscale0 has no neighbours. In a LAN, all nodes are neighbours.
        { path: ["autoDirectNodeRoutes"], value: isLan },
      ]
    : [
        { path: ["routingMode"], value: "tunnel", instead: "network.podRouting" },
        { path: ["tunnelProtocol"], value: "vxlan" },
        { path: ["tunnelPort"], value: tunnelPort, instead: "network.tunnelPort" },
      ];
}

/**
 * All values for the Helm release: the pinned ones, then the host profile's, then the user's; later ones override. The config's rules
 * have rejected conflicts with pinned values.
 *
 * @param a.nodeCount declared nodes of both roles.
 * @param a.underlay of a LAN; absent: the tailnet's.
 */
export function ciliumValues(a: { config: ClusterConfig; nodeCount: number; underlay?: Underlay }): Values {
  const { config, nodeCount, underlay = tailnetUnderlay(config) } = a;
  const pinned = pins(config, underlay).reduce((values, pin) => merge(values, nest(pin.path, pin.value)), {});
  // One node at a time (the chart's default is two), because a node starts no pods while its agent restarts.
  const oneNode: Values = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } };
  // The operator's replicas must run on different nodes: more replicas than nodes would never become ready.
  const defaults: Values = {
    operator: { replicas: Math.min(2, nodeCount) },
    updateStrategy: oneNode,
    envoy: { updateStrategy: oneNode },
    ...(announces(config) && announcementValues),
    ...(config.hubble !== undefined && hubbleValues),
  };
  // Images of a bundle are imported from files, without the registry's digests.
  const bundled: Values = config.bundle === undefined ? {} : bundledImages(config);
  return [defaults, bundled, config.hostProfile.ciliumValues, config.cilium.values].reduce(merge, pinned);
}

function bundledImages({ hubble }: Pick<ClusterConfig, "hubble">): Values {
  const parts = [
    [],
    ["operator"],
    ...(hubble === undefined ? [] : [["hubble", "relay"]]),
    ...(hubble?.ui === true ? ["backend", "frontend"].map((part) => ["hubble", "ui", part]) : []),
  ];
  return parts.reduce((values, part) => merge(values, nest([...part, "image", "useDigest"], false)), {});
}

/** A value as text: a list of one equals its element, and true equals "true". */
const texts = (value: unknown) => [value].flat().map(plainText).join(",");

/** A problem for each value that conflicts with a pinned one. */
export function pinnedValueConflicts(config: PinnedArgs, { values, ...at }: GivenValues): Problem[] {
  const underlay = config.nodeNetwork === "lan" ? undefined : tailnetUnderlay(config);
  return pins(config, underlay).flatMap((pin) => {
    const found = lookUp(values, pin.path);
    if (found === undefined || (pin.value !== undefined && texts(found.value) === texts(pin.value))) {
      return [];
    }
    const allowed = pin.value === undefined ? "the value that the hosts' interfaces have" : JSON.stringify(pin.value);
    return {
      ...at,
      path: [...at.path, ...found.path],
      got: found.value,
      wrong: `conflicts with ${pin.path.join(".")}, which ${dependentOf(pin)} depends on`,
      allowed,
      fix: pin.instead === undefined ? "Remove it." : `Change ${pin.instead} instead.`,
      about: aboutOf(pin),
    };
  });
}

export const dependentOf = ({ dependent = "the cluster's network" }: Pin) => dependent;

/** The config keys that a pinned value depends on. */
export function aboutOf({ instead, about = [] }: Pin): string[] {
  return [...about, ...(instead !== undefined && /^[\w.]+$/.test(instead) ? [instead] : [])];
}

function nest(path: string[], value: unknown): Values {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Values;
}

/** The value at a path, or the first value on the way that is not an object and so would replace it. Undefined if unset. */
export function lookUp(
  values: Values,
  path: readonly string[],
): { path: readonly string[]; value: unknown } | undefined {
  let at: unknown = values;
  for (const [depth, key] of path.entries()) {
    if (!isValues(at)) return { path: path.slice(0, depth), value: at };
    if (!(key in at)) return undefined;
    at = at[key];
  }
  return { path, value: at };
}
