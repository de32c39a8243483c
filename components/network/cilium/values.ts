/** Values of the Cilium chart: what holds pods, services and the endpoint on the node network. */
import type { ClusterConfig } from "../../../model/config";
import { isValues, merge, type Values } from "../../../model/merge";
import { plainText } from "../../../model/messages";
import type { Path, Problem } from "../../../model/problem";

/** Bytes that VXLAN puts around a pod's packet: Ethernet, IPv4, UDP and its own header. */
const vxlanOverhead = 50;

/** The interfaces that carry what goes from node to node. */
export interface Underlay {
  /** Names, or beginnings of names and `+`. */
  devices: readonly string[];
  /** The smallest of their MTUs, in bytes. */
  mtu: number;
}

/** The interface that Tailscale makes. */
export function tailnetUnderlay({ tailnet }: Pick<ClusterConfig, "tailnet">): Underlay {
  return { devices: ["tailscale0"], mtu: tailnet.mtu };
}

/** The MTU of pods in bytes: what the tunnel leaves of the interfaces'. A packet of this size passes, a larger one not. */
export function podMtu(
  config: Pick<ClusterConfig, "podRouting" | "tailnet">,
  underlay: Pick<Underlay, "mtu"> = tailnetUnderlay(config),
): number {
  return config.podRouting === "native" ? underlay.mtu : underlay.mtu - vxlanOverhead;
}

type PinnedArgs = Pick<ClusterConfig, "nodeNetwork" | "endpoint" | "podCidr" | "podRouting" | "tunnelPort" | "tailnet">;

/** A value that the network stands on, and what a user changes instead of it, if anything. */
interface Pin {
  path: string[];
  /** Undefined where only the hosts can say. */
  value: unknown;
  instead?: string;
  /** Further config keys that the value is made of. */
  about?: string[];
}

/** The values that stand under a config key or, for those of a host profile, in a file. */
export interface GivenValues {
  values: Values;
  path: Path;
  file?: string;
}

// `underlay` is not known in a lan before the hosts were looked at.
export function pins(config: PinnedArgs, underlay: Underlay | undefined): Pin[] {
  const { endpoint } = config;
  const isLan = config.nodeNetwork === "lan";
  const devices = underlay && underlay.devices.length === 1 ? underlay.devices[0] : underlay?.devices;
  return [
    // Auto-detection takes any interface with an address, and the smallest MTU of all of them (cilium/cilium#14339).
    { path: ["devices"], value: devices, about: ["nodeNetwork"], ...(isLan && { instead: "lan.interface" }) },
    // Of several, each host has but one; Cilium takes the one with the node IP.
    ...(Array.isArray(devices)
      ? []
      : [{ path: ["nodePort", "directRoutingDevice"], value: devices, about: ["nodeNetwork"] }]),
    {
      path: ["MTU"],
      value: underlay?.mtu,
      instead: isLan ? "the interfaces' MTU on the hosts" : "tailnet.mtu",
      about: ["nodeNetwork"],
    },
    // There is no kube-proxy that would make the API's service address work before Cilium does.
    { path: ["kubeProxyReplacement"], value: true },
    { path: ["k8sServiceHost"], value: endpoint.address, instead: "endpoint.address" },
    { path: ["k8sServicePort"], value: endpoint.port, instead: "endpoint.port" },
    // Each node's podCIDR from kubeadm; the chart's own pool is 10.0.0.0/8, which swallows the endpoint.
    { path: ["ipam", "mode"], value: "kubernetes" },
    // Masquerading in BPF works on `devices` only: pods would leave by the NIC with addresses that nobody answers.
    { path: ["bpf", "masquerade"], value: false },
    ...routingPins(config, isLan).map((pin) => ({ ...pin, about: ["network.podRouting", "nodeNetwork"] })),
    // All three read their configuration when they start: without it changed values would take effect with the next reboot.
    { path: ["rollOutCiliumPods"], value: true },
    { path: ["envoy", "rollOutPods"], value: true },
    { path: ["operator", "rollOutPods"], value: true },
  ];
}

function routingPins({ podCidr, podRouting, tunnelPort }: PinnedArgs, isLan: boolean): Pin[] {
  return podRouting === "native"
    ? [
        { path: ["routingMode"], value: "native", instead: "network.podRouting" },
        { path: ["ipv4NativeRoutingCIDR"], value: podCidr, instead: "network.podCidr" },
        // The routes are the tailnet's: tailscale0 has no neighbours to route to directly. In a lan each node is one.
        { path: ["autoDirectNodeRoutes"], value: isLan },
      ]
    : [
        { path: ["routingMode"], value: "tunnel", instead: "network.podRouting" },
        { path: ["tunnelProtocol"], value: "vxlan" },
        { path: ["tunnelPort"], value: tunnelPort, instead: "network.tunnelPort" },
      ];
}

/**
 * All values for the Helm release: the pinned ones, the host profile's, the user's (the later wins). What contradicts a
 * pinned value has been refused when the config was loaded.
 *
 * @param a.nodeCount declared nodes of both roles.
 * @param a.underlay of a lan, where the hosts alone can say; absent: the tailnet's.
 */
export function ciliumValues(a: { config: ClusterConfig; nodeCount: number; underlay?: Underlay }): Values {
  const { config, nodeCount, underlay = tailnetUnderlay(config) } = a;
  const pinned = pins(config, underlay).reduce((values, pin) => merge(values, nest(pin.path, pin.value)), {});
  // The operator's replicas repel each other: one more than there are nodes never starts, and the release never ends.
  // One node at a time: while an agent restarts, its node starts no pods. The chart's own default is two.
  const oneNode: Values = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } };
  const defaults: Values = {
    operator: { replicas: Math.min(2, nodeCount) },
    updateStrategy: oneNode,
    envoy: { updateStrategy: oneNode },
  };
  // Images of a bundle are imported from files, and the registry's digest is not among their names.
  const bundled: Values =
    config.bundle === undefined ? {} : { image: { useDigest: false }, operator: { image: { useDigest: false } } };
  return [defaults, bundled, config.hostProfile.ciliumValues, config.cilium.values].reduce(merge, pinned);
}

/** A value in words: a list of one is that one, and true the text "true". */
const texts = (value: unknown) => [value].flat().map(plainText).join(",");

/** A problem for each of the given values that contradicts a pinned one. */
export function contradictions(config: PinnedArgs, { values, ...at }: GivenValues): Problem[] {
  const underlay = config.nodeNetwork === "lan" ? undefined : tailnetUnderlay(config);
  return pins(config, underlay).flatMap((pin) => {
    const found = lookUp(values, pin.path);
    if (found === undefined || (pin.value !== undefined && texts(found.value) === texts(pin.value))) {
      return [];
    }
    const allowed = pin.value === undefined ? "what the hosts' interfaces say" : JSON.stringify(pin.value);
    return {
      ...at,
      path: [...at.path, ...found.path],
      got: found.value,
      allowed: `${allowed} for ${pin.path.join(".")}, which the cluster's network depends on`,
      fix: pin.instead === undefined ? "Remove it." : `Change ${pin.instead} instead.`,
      about: aboutOf(pin),
    };
  });
}

/** The config keys that a pinned value is made of. */
export function aboutOf({ instead, about = [] }: Pin): string[] {
  return [...about, ...(instead !== undefined && /^[\w.]+$/.test(instead) ? [instead] : [])];
}

function nest(path: string[], value: unknown): Values {
  return path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Values;
}

/** The value at a path, or the first thing on the way that is no object and so would replace it. Undefined if unset. */
export function lookUp(
  values: Values,
  path: readonly string[],
): { path: readonly string[]; value: unknown } | undefined {
  let at: unknown = values;
  for (const [depth, key] of path.entries()) {
    if (!isValues(at)) {
      return { path: path.slice(0, depth), value: at };
    }
    if (!(key in at)) {
      return undefined;
    }
    at = at[key];
  }
  return { path, value: at };
}
