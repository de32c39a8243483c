/** What the nodes' addresses in the tailnet say together. */

/** A node and its address in the tailnet; empty where it is not known. */
export interface NodeAddress {
  node: string;
  address: string;
}

/**
 * A line for each address that several nodes have; undefined if there is none. A disk that was copied with the state of its
 * tailscaled makes two hosts one device, which take the address from each other.
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
        `${nodes.join(", ")}: one tailnet address, ${address}, as hosts with a copied /var/lib/tailscale have it. Keep it on one of ` +
        "them; on each other run: systemctl stop tailscaled && rm /var/lib/tailscale/tailscaled.state && systemctl start tailscaled. " +
        "Then give those nodes another host.identity, so that they log in again.",
    );
  return lines.length === 0 ? undefined : lines.join("\n");
}
