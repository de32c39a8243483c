/** Interfaces of a host: whose they are, and how a config means them. */
import { contains, networkOf } from "../../model/cidr";

/** Interfaces that the cluster itself makes or uses: their addresses are no neighbour's. lxcbr0 is LXC's own. */
const ownInterface = /^(lo$|tailscale|cilium|lxc(_health|[0-9a-f]{12})$)/;

/** Whether an interface is loopback, or one that the cluster itself makes or uses. */
export function isOwnInterface(name: string): boolean {
  return ownInterface.test(name);
}

/**
 * Whether a text is an interface's name, or the beginning of names and `+`. A name has at most 15 characters (IFNAMSIZ of
 * linux/if.h is 16, with the zero at its end).
 */
export function isInterfacePattern(text: string): boolean {
  return /^[A-Za-z0-9_.@-]{1,15}\+?$/.test(text);
}

/** Whether a name is meant by such a pattern, as Cilium reads it. */
export function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

export interface HostAddress {
  address: string;
  /** The network that its prefix length says it is in: `172.31.77.0/24`. */
  network: string;
  interface: string;
  /** MTU of the interface in bytes. */
  mtu: number;
}

/** The IPv4 addresses by which other hosts may reach one: of its own interfaces, and none of link-local use (RFC 3927). */
export function hostAddresses(
  interfaces: readonly { name: string; addresses: string[]; mtu: number }[],
): HostAddress[] {
  return interfaces
    .filter(({ name }) => !isOwnInterface(name))
    .flatMap(({ name, addresses, mtu }) =>
      addresses.flatMap((text) => {
        const [address = ""] = text.split("/");
        const network = networkOf(text);
        return network === undefined || contains("169.254.0.0/16", address)
          ? []
          : [{ address, network, interface: name, mtu }];
      }),
    );
}
