/** What a host sees of the other devices of its tailnet. */
/** What a host knows of another device of its tailnet; `PeerStatus` of Tailscale's package ipnstate. */
export interface Device {
  HostName?: string;
  DNSName?: string;
  TailscaleIPs?: string[];
  /** Beside the device's own addresses. */
  routes?: string[];
  Online?: boolean;
  LastSeen?: string;
  Expired?: boolean;
}

/** What `tailscale status --json` prints, as version 1.102 does, as far as that is of use here. */
export function tailnetStatus(devices: Device[] | null, BackendState = "Running"): string {
  const of = ({ routes = [], ...more }: Device, i: number) => ({
    ID: `n${i}`,
    HostName: `d${i}`,
    DNSName: `d${i}.example.ts.net.`,
    OS: "linux",
    TailscaleIPs: [`100.64.1.${i}`, `fd7a:115c:a1e0::${i}`],
    AllowedIPs: [`100.64.1.${i}/32`, `fd7a:115c:a1e0::${i}/128`, ...routes],
    Tags: ["tag:k8s"],
    ...(routes.length > 0 && { PrimaryRoutes: routes }),
    Addrs: null,
    LastSeen: "0001-01-01T00:00:00Z",
    Online: true,
    CapMap: { "https://tailscale.com/cap/is-admin": [{ AllowedIPs: ["10.50.200.0/24"] }], other: null },
    ...more,
  });
  const status = {
    Version: "1.102.5",
    BackendState,
    // This host itself, killed when it had the endpoint.
    Self: of({ routes: ["10.200.0.1/32"] }, 0),
    Health: null,
    Peer: devices && Object.fromEntries(devices.map((device, i) => [`nodekey:${i}${i}`, of(device, i + 1)])),
    User: { "1": { LoginName: "alice@example.com" } },
  };
  return JSON.stringify(status, undefined, 2);
}
