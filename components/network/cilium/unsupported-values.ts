/** Values of the Cilium chart that are not pinned, but with which it cannot work on top of the pinned ones. */
import type { Problem } from "../../../model/problem";
import type { ClusterConfig } from "../../../model/config";
import { minorOf } from "../../../model/versions";
import { type GivenValues, lookUp } from "./values";
import type { Values } from "../../../model/merge";

interface Unfit {
  path: readonly string[];
  /** Whether a given value is one that does not work. */
  is: (value: unknown) => boolean;
  allowed: string;
  /** Absent: remove it. */
  fix?: string;
  /** Config keys without which it would work. */
  about?: string[];
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
    },
    { path: ["ipv6", "enabled"], is: isOn, allowed: "false, for all of the cluster is IPv4" },
    { path: ["egressGateway", "enabled"], is: isOn, allowed: noBpfMasquerade },
    { path: ["ipMasqAgent", "enabled"], is: isOn, allowed: noBpfMasquerade },
    ...["eni", "azure", "gke", "alibabacloud"].map((cloud) => ({
      path: [cloud, "enabled"],
      is: isOn,
      allowed: ownCloud,
    })),
    {
      path: ["tunnel"],
      is: (v) => v !== "" && v !== null,
      allowed: "nothing: the chart has it no more",
      fix: "Remove it, and set network.podRouting.",
    },
    // Later ones learnt it.
    ...(minorOf(cilium.version) < 16
      ? [
          {
            path: ["encryption"],
            is: (v: unknown) => isOn((v as Values | null)?.enabled) && ((v as Values).type ?? "ipsec") === "ipsec",
            allowed: "no IPsec, which does not go with kubeProxyReplacement; the tailnet encrypts already",
            fix: "Remove it, or set its type to wireguard.",
            about: ["cilium.version"],
          },
        ]
      : []),
    ...(podRouting === "vxlan"
      ? [
          {
            path: ["autoDirectNodeRoutes"],
            is: isOn,
            allowed: "false with network.podRouting vxlan",
            about: ["network.podRouting", "nodeNetwork"],
          },
          {
            path: ["loadBalancer", "mode"],
            is: (v: unknown) => ["dsr", "hybrid"].includes(String(v)),
            allowed: "snat with network.podRouting vxlan",
            about: ["network.podRouting", "nodeNetwork"],
          },
        ]
      : []),
  ];
}

/** A problem for each of the given values with which Cilium would not start, or its pods would have no network. */
export function unfitValues(
  config: Pick<ClusterConfig, "podRouting" | "cilium">,
  { values, ...at }: GivenValues,
): Problem[] {
  return unfit(config).flatMap(({ path, is, allowed, fix = "Remove it.", about }) => {
    const found = lookUp(values, path);
    return found !== undefined && found.path.length === path.length && is(found.value)
      ? { ...at, path: [...at.path, ...path], got: found.value, allowed, fix, about }
      : [];
  });
}
