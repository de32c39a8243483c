/** The cluster's own networks: as the user has set them, or by the cluster's number. */
import { numberedNetworks, type NumberedNetworks } from "../model/cluster-number";
import type { StackValues } from "./schema/stack";

type Values = Pick<StackValues, "network" | "endpoint">;

/** Each network, whether set or derived; `endpoint` may be a name in a LAN. */
export function networksOf({ network, endpoint }: Values): NumberedNetworks {
  const derived = numberedNetworks(network.number);
  return {
    podCidr: network.podCidr ?? derived.podCidr,
    serviceCidr: network.serviceCidr ?? derived.serviceCidr,
    endpoint: endpoint.address ?? derived.endpoint,
  };
}

/** The config key of each network and what the user has set there. */
export function givenNetworks({
  network,
  endpoint,
}: Values): [key: keyof NumberedNetworks, path: string, got?: string][] {
  return [
    ["podCidr", "network.podCidr", network.podCidr],
    ["serviceCidr", "network.serviceCidr", network.serviceCidr],
    ["endpoint", "endpoint.address", endpoint.address],
  ];
}
