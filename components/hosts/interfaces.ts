import { contains, networkOf } from "../../model/cidr";

/** Loopback, and interfaces that the cluster creates or uses. lxcbr0 belongs to LXC. */
const ownInterface = /^(lo$|tailscale|cilium|lxc(_health|[0-9a-f]{12})$)/;

export function isOwnInterface(name: string): boolean {
  return ownInterface.test(name);
}

/**
 * Whether a text is an interface name, or a prefix and `+`. A name has at most 15 characters (IFNAMSIZ of linux/if.h is 16, with the
 * zero at its end).
 */
export function isInterfacePattern(text: string): boolean {
  return /^[A-Za-z0-9_.@-]{1,15}\+?$/.test(text);
}

/** Whether such a pattern matches a name, as in Cilium. */
export function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

export interface HostAddress {
  address: string;
  /** Its network by its prefix length: `172.31.77.0/24`. */
  network: string;
  interface: string;
  /** MTU of the interface in bytes. */
  mtu: number;
}

/** The IPv4 addresses at which other hosts may reach a host: none of the cluster's interfaces, and none that is link-local. */
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
