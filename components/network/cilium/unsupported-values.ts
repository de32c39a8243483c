/** Values of the Cilium chart that are not pinned, but with which it cannot work on top of the pinned ones. */
import { refused } from "../../../model/messages";
import type { ClusterConfig } from "../../../model/config";
import { minorOf } from "../../../model/versions";
import { lookUp } from "./values";
import type { Values } from "../../../model/merge";

interface Unfit {
  path: readonly string[];
  /** Whether a given value is one that does not work. */
  is: (value: unknown) => boolean;
  allowed: string;
  todo: string;
}

const isOn = (value: unknown) => String(value) === "true";

// Sources, of Cilium 1.15.19: daemon/cmd/daemon.go and pkg/egressgateway/manager.go (masquerading), daemon_main.go (routes),
// kube_proxy_replacement.go (DSR, IPsec), install/kubernetes/cilium/templates/validate.yaml (tunnel) and
// cilium-configmap.yaml (clouds).
function unfit({ podRouting, cilium }: Pick<ClusterConfig, "podRouting" | "cilium">): Unfit[] {
  const noBpfMasquerade = "false, for it needs bpf.masquerade, by which pods would not get out of the tailnet";
  const ownCloud = "false, for it brings its own addresses and routes for pods";
  return [
    {
      path: ["ipv4", "enabled"],
      is: (v) => String(v) === "false",
      allowed: "true, for all of the cluster is IPv4",
      todo: "Remove it.",
    },
    { path: ["ipv6", "enabled"], is: isOn, allowed: "false, for all of the cluster is IPv4", todo: "Remove it." },
    { path: ["egressGateway", "enabled"], is: isOn, allowed: noBpfMasquerade, todo: "Remove it." },
    { path: ["ipMasqAgent", "enabled"], is: isOn, allowed: noBpfMasquerade, todo: "Remove it." },
    ...["eni", "azure", "gke", "alibabacloud"].map((cloud) => ({
      path: [cloud, "enabled"],
      is: isOn,
      allowed: ownCloud,
      todo: "Remove it.",
    })),
    {
      path: ["tunnel"],
      is: (v) => v !== "" && v !== null,
      allowed: "nothing: the chart has it no more",
      todo: "Remove it, and set podRouting.",
    },
    // Later ones learnt it.
    ...(minorOf(cilium.version) < 16
      ? [
          {
            path: ["encryption"],
            is: (v: unknown) => isOn((v as Values | null)?.enabled) && ((v as Values).type ?? "ipsec") === "ipsec",
            allowed: "no IPsec, which does not go with kubeProxyReplacement; the tailnet encrypts already",
            todo: "Remove it, or set its type to wireguard.",
          },
        ]
      : []),
    ...(podRouting === "vxlan"
      ? [
          {
            path: ["autoDirectNodeRoutes"],
            is: isOn,
            allowed: "false with podRouting vxlan",
            todo: "Remove it.",
          },
          {
            path: ["loadBalancer", "mode"],
            is: (v: unknown) => ["dsr", "hybrid"].includes(String(v)),
            allowed: "snat with podRouting vxlan",
            todo: "Remove it.",
          },
        ]
      : []),
  ];
}

/**
 * One line for each of the given values with which Cilium would not start, or its pods would have no network.
 *
 * @param key the config key that the values stand under, for the message.
 */
export function unfitValues(
  config: Pick<ClusterConfig, "podRouting" | "cilium">,
  values: Values,
  key = "ciliumValues",
): string[] {
  return unfit(config).flatMap(({ path, is, allowed, todo }) => {
    const found = lookUp(values, path);
    return found !== undefined && found.path.length === path.length && is(found.value)
      ? [refused([key, ...path].join("."), found.value, allowed, todo)]
      : [];
  });
}
