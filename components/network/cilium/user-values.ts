/** Settings that `extraConfig`, `extraArgs` and `extraEnv` pass to Cilium's agents directly, bypassing the chart's values. */
import { aboutOf, dependentOf, type GivenValues, lookUp, pins, tailnetUnderlay } from "./values";
import { ipv4Only } from "../../../model/cidr";
import type { Problem } from "../../../model/problem";
import { isValues, type Values } from "../../../model/merge";

/** The agents' names of the pinned values (install/kubernetes/cilium/templates/cilium-configmap.yaml). */
const settings: Readonly<Record<string, readonly string[]>> = {
  devices: ["devices"],
  "nodePort.directRoutingDevice": ["direct-routing-device"],
  MTU: ["mtu"],
  kubeProxyReplacement: ["kube-proxy-replacement"],
  k8sServiceHost: ["k8s-api-server", "k8s-api-server-urls"],
  "ipam.mode": ["ipam"],
  "bpf.masquerade": ["enable-bpf-masquerade"],
  "l2announcements.enabled": ["enable-l2-announcements"],
  "hubble.enabled": ["enable-hubble"],
  routingMode: ["routing-mode", "tunnel"],
  ipv4NativeRoutingCIDR: ["ipv4-native-routing-cidr"],
  autoDirectNodeRoutes: ["auto-direct-node-routes"],
  tunnelProtocol: ["tunnel-protocol"],
  tunnelPort: ["tunnel-port"],
};
/** Settings that never work, whatever the routing. */
const never: Readonly<Record<string, string>> = {
  "enable-ipv4": ipv4Only,
  "enable-ipv6": ipv4Only,
  "enable-egress-gateway": "an egress gateway needs bpf.masquerade, which cannot be on",
  "enable-ipv4-egress-gateway": "an egress gateway needs bpf.masquerade, which cannot be on",
  "enable-ip-masq-agent": "the masquerading agent needs bpf.masquerade, which cannot be on",
};

/** A setting that is passed directly, and where. */
interface Extra {
  at: (string | number)[];
  name: string;
}

function extras(values: Values): Extra[] {
  const config = lookUp(values, ["extraConfig"])?.value;
  const args = lookUp(values, ["extraArgs"])?.value;
  const env = lookUp(values, ["extraEnv"])?.value;
  return [
    ...(isValues(config) ? Object.keys(config).map((name) => ({ at: ["extraConfig", name], name })) : []),
    ...(Array.isArray(args) ? args : []).flatMap((arg, i) => {
      const name = /^--?([a-z0-9-]+)/.exec(String(arg))?.[1];
      return name === undefined ? [] : [{ at: ["extraArgs", i], name }];
    }),
    // The agent also reads every setting from the variable CILIUM_ and its name.
    ...(Array.isArray(env) ? env : []).flatMap((variable, i) => {
      const name = isValues(variable) ? /^CILIUM_([A-Z0-9_]+)$/.exec(String(variable.name))?.[1] : undefined;
      return name === undefined ? [] : [{ at: ["extraEnv", i], name: name.toLowerCase().replaceAll("_", "-") }];
    }),
  ];
}

/**
 * A problem for each directly passed setting that the network depends on, even if it is equal: the chart writes its own beside it, and
 * only one of the two takes effect.
 */
export function bypasses(config: Parameters<typeof pins>[0], { values, ...at }: GivenValues): Problem[] {
  const pinned = new Map(
    pins(config, config.nodeNetwork === "lan" ? undefined : tailnetUnderlay(config)).flatMap((pin) =>
      (settings[pin.path.join(".")] ?? []).map((name) => [name, pin] as const),
    ),
  );
  return extras(values).flatMap(({ at: where, name }): Problem[] => {
    const path = [...at.path, ...where];
    const pin = pinned.get(name);
    if (pin !== undefined) {
      const wrong = `${name} bypasses ${pin.path.join(".")}, which ${dependentOf(pin)} depends on`;
      const fix = pin.instead ? `Change ${pin.instead} instead.` : "Remove it.";
      return [{ ...at, path, wrong, fix, about: aboutOf(pin) }];
    }
    const why = never[name];
    const wrong = `${name} is not allowed here, because ${why}`;
    return why === undefined ? [] : [{ ...at, path, wrong, fix: "Remove it." }];
  });
}
