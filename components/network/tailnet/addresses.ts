/** A node and its address in the tailnet; empty if unknown. */
export interface NodeAddress {
  node: string;
  address: string;
}

/**
 * A line for each address that several nodes have; undefined if there is none. If a disk was copied with tailscaled's state, two hosts
 * are one device, and take the address from each other.
 */
export function sharedAddresses(all: readonly NodeAddress[]): string | undefined {
  const byAddress = new Map<string, string[]>();
  for (const { node, address } of all.filter((one) => one.address !== "")) {
    byAddress.set(address, [...(byAddress.get(address) ?? []), node]);
  }
  const lines = [...byAddress]
    .filter(([, nodes]) => nodes.length > 1)
    .map(
      ([address, nodes]) =>
        `${nodes.join(", ")}: they share the tailnet address ${address}, as hosts with a copied /var/lib/tailscale do. Keep it on one of ` +
        "them. On each of the others, run: systemctl stop tailscaled && rm /var/lib/tailscale/tailscaled.state && systemctl start tailscaled. " +
        "Then change host.identity of those nodes, so that they log in again.",
    );
  return lines.length === 0 ? undefined : lines.join("\n");
}
