/** How nodes are spread over zones, so that the loss of one takes as few of a role as can be. */
import type { NodeConfig } from "../../../model/config";
import { contains, subnets } from "../../../model/cidr";

/** Zones of a VPC that is made, one subnet each: a majority of three control planes outlives any of them. */
const zoneCount = 3;

/** The networks of the subnets of a VPC that is made: a quarter of it each, the last one is left. */
export function zoneSubnets(vpcCidr: string): string[] {
  return subnets(vpcCidr, Number(vpcCidr.split("/")[1]) + 2, zoneCount);
}

/**
 * For each node the position of its zone, from 0 to `zones - 1`: those of a role take turns, in the order of the list, but
 * for one with an address of its own in `vpcCidr`, whose subnet has to have it.
 */
export function spread(nodes: readonly Pick<NodeConfig, "role" | "lan">[], zones: number, vpcCidr?: string): number[] {
  const next = { "control-plane": 0, worker: 0 };
  return nodes.map(({ role, lan }) => {
    const turn = next[role]++ % zones;
    const address = lan?.address;
    if (address === undefined || vpcCidr === undefined) return turn;
    const own = zoneSubnets(vpcCidr).findIndex((network) => contains(network, address));
    return own < 0 ? turn : own;
  });
}
