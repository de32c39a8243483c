/** IPv4 addresses and networks as text. The program does not use IPv6 (docs/install/dual-stack.md). */
import ipaddr from "ipaddr.js";

/** The range of a tailnet's addresses. Tailscale drops packets from there on all other interfaces (tailscale/tailscale#1381). */
export const tailnetRange = "100.64.0.0/10";

/** Whether the text is an IPv4 address in four decimal parts. */
export function isIPv4(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text);
}

/** Whether the text is an IPv4 network: four decimal parts, a prefix length, and no bit set after the prefix. */
export function isNetwork(text: string): boolean {
  return networkOf(text) === text;
}

/** Why nothing takes addresses of IPv6, neither alone nor beside IPv4. */
export const ipv4Only = "the cluster is IPv4 only (docs/install/dual-stack.md)";

/** Whether a value is meant for IPv6 or for both families: an IPv6 address or network, or several values with commas or in a list. */
export function isBeyondIPv4(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 1 || value.some(isBeyondIPv4);
  if (typeof value !== "string") return false;
  const parts = value.split(",");
  // `[fd00::1]` is how a URL has it.
  const address = value
    .replace(/^\s*\[(.*)\]\s*$/, "$1")
    .split("/")[0]!
    .trim();
  return (parts.length > 1 && parts.some((part) => /\d[.:]|::/.test(part))) || ipaddr.IPv6.isValid(address);
}

/** The network of an address with a prefix length: `10.0.2.15/24` → `10.0.2.0/24`. Undefined for other text. */
export function networkOf(text: string): string | undefined {
  if (!ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) return undefined;
  const [, prefix] = ipaddr.IPv4.parseCIDR(text);
  return `${ipaddr.IPv4.networkAddressFromCIDR(text).toString()}/${prefix}`;
}

/** An address as a network. Throws on anything but an IPv4 address. */
export function hostNetwork(address: string): string {
  if (!isIPv4(address)) throw new Error(`${JSON.stringify(address)} is not an IPv4 address`);
  return `${address}/32`;
}

/** Whether the network `outer` contains `inner`, a network or an address. Throws on text that is neither. */
export function contains(outer: string, inner: string): boolean {
  const [network, prefix] = ipaddr.IPv4.parseCIDR(outer);
  const [address, innerPrefix] = ipaddr.IPv4.parseCIDR(inner.includes("/") ? inner : hostNetwork(inner));
  return innerPrefix >= prefix && address.match(network, prefix);
}

/** Whether two networks (or addresses) share an address. Throws on text that is neither. */
export function overlap(a: string, b: string): boolean {
  const asNetwork = (text: string) => (text.includes("/") ? text : hostNetwork(text));
  return contains(asNetwork(a), asNetwork(b)) || contains(asNetwork(b), asNetwork(a));
}

/** How many networks with this prefix length fit into a network. */
export function subnetCount(network: string, prefix: number): number {
  const [, own] = ipaddr.IPv4.parseCIDR(network);
  return own > prefix ? 0 : 2 ** (prefix - own);
}

/** An IPv4 address as a number from 0 to 2 ** 32 - 1. Throws on other text. */
export function ipv4Number(address: string): number {
  return ipaddr.IPv4.parse(address)
    .toByteArray()
    .reduce((number, byte) => number * 256 + byte, 0);
}

/** The first `count` networks with this prefix length in a network. Throws if there are fewer. */
export function subnets(network: string, prefix: number, count: number): string[] {
  if (subnetCount(network, prefix) < count) {
    throw new Error(`${network} has no ${count} networks of prefix length /${prefix}`);
  }
  const first = ipv4Number(network.split("/")[0]!);
  return Array.from({ length: count }, (_, i) => {
    const address = first + i * 2 ** (32 - prefix);
    return `${[24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".")}/${prefix}`;
  });
}
