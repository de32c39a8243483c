/** `endpoint.kind: vip`: its address compared with the hosts' own, and with what already answers for it on their network. */
import { contains } from "../../../model/cidr";
import type { ClusterConfig } from "../../../model/config";
import { listed } from "../../../model/messages";
import type { NodeFacts } from "../../hosts/facts";
import { hostAddresses } from "../../hosts/interfaces";
import { lanAddress } from "./address";

/** A line for each reason why the control planes cannot have the address. */
export function vipProblems(all: readonly NodeFacts[], config: Pick<ClusterConfig, "endpoint">): string[] {
  return config.endpoint.kind === "vip"
    ? [...segmentProblems(all, config), ...ownAddressProblems(all, config), ...strangerProblems(all, config)]
    : [];
}

// Others look for the address by ARP, on their own segment.
function segmentProblems(all: readonly NodeFacts[], config: Pick<ClusterConfig, "endpoint">): string[] {
  const { address } = config.endpoint;
  return all
    .filter(({ node }) => node.role === "control-plane")
    .flatMap((one) => {
      const at = lanAddress(one, config);
      return at === undefined || contains(at.network, address)
        ? []
        : [
            `${one.node.name}: endpoint.address ${address} is not in ${at.network}, the network of its address ${at.address} on ` +
              `${at.interface}. With endpoint.kind vip, all control planes and the endpoint must be on one network segment.`,
          ];
    });
}

// The watch sets it as a network of its own, so any other one is the host's.
function ownAddressProblems(all: readonly NodeFacts[], { endpoint }: Pick<ClusterConfig, "endpoint">): string[] {
  return all.flatMap(({ node, facts }) =>
    hostAddresses(facts.interfaces)
      .filter(({ address, network }) => address === endpoint.address && !network.endsWith("/32"))
      .map(
        (at) =>
          `${node.name}: endpoint.address ${endpoint.address} is already its own address on ${at.interface}. With endpoint.kind vip, ` +
          "choose an address that no host has.",
      ),
  );
}

// In a running cluster it is a control plane, perhaps one whose facts are older than its network interface.
function strangerProblems(all: readonly NodeFacts[], { endpoint }: Pick<ClusterConfig, "endpoint">): string[] {
  if (all.some(({ facts }) => facts.membership !== "")) return [];
  const own = new Set(all.flatMap(({ facts }) => facts.macs ?? []));
  const strangers = new Map<string, string[]>();
  for (const { node, facts } of all) {
    const mac = facts.endpointMac ?? "";
    if (mac !== "" && !own.has(mac)) strangers.set(mac, [...(strangers.get(mac) ?? []), node.name]);
  }
  return [...strangers].map(
    ([mac, names]) =>
      `endpoint.address: ${endpoint.address} already belongs to another device on the network of ${listed(names)}, with the MAC address ` +
      `${mac}. Choose an address that no device has and that the network's DHCP server does not assign, or stop that device's use of it.`,
  );
}
