/** The addresses that nodes of a LAN announce for Services of type LoadBalancer, compared with the hosts' own. */
import { contains } from "../../../model/cidr";
import type { ClusterConfig } from "../../../model/config";
import { hostAddresses } from "../../hosts/interfaces";
import type { NodeFacts } from "../../hosts/facts";
import { lanAddress } from "./address";

type Announced = Pick<ClusterConfig, "nodeNetwork" | "endpoint" | "loadBalancer">;

/** A line for each address of a host that a service could get as well. */
export function announcedProblems(all: readonly NodeFacts[], { loadBalancer }: Announced): string[] {
  const cidr = loadBalancer?.cidr;
  return all.flatMap(({ node, facts }) =>
    hostAddresses(facts.interfaces)
      .filter(({ address }) => cidr !== undefined && contains(cidr, address))
      .map(
        ({ address, interface: nic }) =>
          `${node.name}: loadBalancer.cidr ${cidr} contains ${address} on its interface ${nic}. Choose a part of the network ` +
          "that no host uses, and that the network's DHCP server does not assign.",
      ),
  );
}

/** A line if other devices of the nodes' network do not look for these addresses there. */
export function announcedWarnings(all: readonly NodeFacts[], config: Announced): string[] {
  const cidr = config.loadBalancer?.cidr;
  if (config.nodeNetwork !== "lan" || cidr === undefined) return [];
  const networks = new Set(all.flatMap((one) => lanAddress(one, config)?.network ?? []));
  return networks.size === 0 || [...networks].some((network) => contains(network, cidr))
    ? []
    : [
        `loadBalancer.cidr: ${cidr} is not in ${[...networks].join(", ")}, the network of the nodes. Other devices reach services only ` +
          "with a route to it on that network. Choose an unused part of that network, or add the route to its router.",
      ];
}
