/** The cluster's own networks: as the user has set them, or by the cluster's number. */
import { numberedNetworks, type NumberedNetworks } from "../model/cluster-number";
import type { StackValues } from "./schema/stack";

type Values = Pick<StackValues, "network" | "endpoint">;

/** Each network, whether set or derived; `endpoint` may be a name in a LAN. */
export function networksOf(values: Values): NumberedNetworks {
  const given = givenNetworks(values);
  const derived = numberedNetworks(values.network.number);
  return {
    podCidr: given.podCidr ?? derived.podCidr,
    serviceCidr: given.serviceCidr ?? derived.serviceCidr,
    endpoint: given.endpoint ?? derived.endpoint,
  };
}

/** What the user has set of them. */
export const givenNetworks = ({
  network,
  endpoint,
}: Values): { [K in keyof NumberedNetworks]: string | undefined } => ({
  podCidr: network.podCidr,
  serviceCidr: network.serviceCidr,
  endpoint: endpoint.address,
});
