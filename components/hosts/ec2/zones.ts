/** Spreads nodes over zones, so that the loss of a zone affects as few nodes of a role as possible. */
import type { NodeConfig } from "../../../model/config";
import { contains, subnets } from "../../../model/cidr";

/** Zones of a new VPC, one subnet each: a majority of three control planes survives the loss of any zone. */
const zoneCount = 3;

/** The subnets of a new VPC: a quarter of its network each; the last quarter stays unused. */
export function zoneSubnets(vpcCidr: string): string[] {
  return subnets(vpcCidr, Number(vpcCidr.split("/")[1]) + 2, zoneCount);
}

/**
 * The position of each node's zone, from 0 to `zones - 1`: nodes of a role use the zones in turn. A node with a declared address in
 * `vpcCidr` gets the zone of that address's subnet.
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
