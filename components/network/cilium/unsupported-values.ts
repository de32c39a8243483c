/** Values of the Cilium chart that do not work together with the pinned ones. */
import { ipv4Only } from "../../../model/cidr";
import type { Problem } from "../../../model/problem";
import type { ClusterConfig } from "../../../model/config";
import { minorOf } from "../../../model/versions";
import { type GivenValues, lookUp } from "./values";
import type { Values } from "../../../model/merge";

interface Unsupported {
  path: readonly string[];
  /** Whether a value does not work. */
  is: (value: unknown) => boolean;
  allowed: string;
  /** Absent: remove it. */
  fix?: string;
  /** Config keys that the problem depends on. */
  about?: string[];
}

type UnsupportedArgs = Pick<ClusterConfig, "podRouting" | "cilium" | "nodeNetwork" | "loadBalancer">;

const isOn = (value: unknown) => String(value) === "true";

// Sources, of Cilium 1.15.19: daemon/cmd/daemon.go and pkg/egressgateway/manager.go (masquerading), daemon_main.go (routes),
// kube_proxy_replacement.go (DSR, IPsec), install/kubernetes/cilium/templates/validate.yaml (tunnel) and
// cilium-configmap.yaml (clouds).
function unsupported(config: UnsupportedArgs): Unsupported[] {
  const { podRouting, cilium } = config;
  const noBpfMasquerade =
    "false, because it needs bpf.masquerade, with which pods could not reach anything outside the tailnet";
  const ownCloud = "false, because it brings its own pod addresses and routes";
  return [
    {
      path: ["ipv4", "enabled"],
      is: (v) => String(v) === "false",
      allowed: `true, because ${ipv4Only}`,
    },
    { path: ["ipv6", "enabled"], is: isOn, allowed: `false, because ${ipv4Only}` },
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
      allowed: "no value: the chart no longer has it",
      fix: "Remove it, and set network.podRouting.",
    },
    // Later versions support it.
    ...(minorOf(cilium.version) < 16
      ? [
          {
            path: ["encryption"],
            is: (v: unknown) => isOn((v as Values | null)?.enabled) && ((v as Values).type ?? "ipsec") === "ipsec",
            allowed: "no IPsec, which does not work with kubeProxyReplacement; the tailnet already encrypts",
            fix: "Remove it, or set its type to wireguard.",
            about: ["cilium.version"],
          },
        ]
      : []),
    ...loadBalancerValues(config),
    ...(podRouting === "vxlan"
      ? [
          {
            path: ["autoDirectNodeRoutes"],
            is: isOn,
            allowed: "false, with network.podRouting vxlan",
            about: ["network.podRouting", "nodeNetwork"],
          },
          {
            path: ["loadBalancer", "mode"],
            is: isDsr,
            allowed: "snat, with network.podRouting vxlan",
            about: ["network.podRouting", "nodeNetwork"],
          },
        ]
      : []),
  ];
}

const isDsr = (value: unknown) => ["dsr", "hybrid"].includes(String(value));

function loadBalancerValues({ nodeNetwork, podRouting, loadBalancer }: UnsupportedArgs): Unsupported[] {
  if (loadBalancer === undefined) return [];
  const about = ["loadBalancer.cidr"];
  return [
    {
      path: ["defaultLBServiceIPAM"],
      is: (v) => v !== "lbipam",
      allowed: "lbipam, with loadBalancer.cidr: no other gives services addresses of that network",
      about,
    },
    {
      path: ["enableLBIPAM"],
      is: (v) => !isOn(v),
      allowed: "true, with loadBalancer.cidr: without it Cilium gives services no addresses",
      about,
    },
    // A client takes answers from the service's address only from the node that has its route.
    ...(nodeNetwork === "tailnet" && podRouting === "native"
      ? [
          {
            path: ["loadBalancer", "mode"],
            is: isDsr,
            allowed: "snat, with loadBalancer.cidr in a tailnet: it drops answers from a node without the route",
            about: [...about, "nodeNetwork", "network.podRouting"],
          },
        ]
      : []),
  ];
}

/** A problem for each value with which Cilium would not start, or pods would have no network. */
export function unsupportedValues(config: UnsupportedArgs, { values, ...at }: GivenValues): Problem[] {
  return unsupported(config).flatMap(({ path, is, allowed, fix = "Remove it.", about }) => {
    const found = lookUp(values, path);
    return found !== undefined && found.path.length === path.length && is(found.value)
      ? { ...at, path: [...at.path, ...path], got: found.value, allowed, fix, about }
      : [];
  });
}
