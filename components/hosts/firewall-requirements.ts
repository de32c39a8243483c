/**
 * What a packet filter on a host must let through. host/lib/network/packet-filter.sh follows the host's rules for these packets.
 *
 * tailscaled and Cilium put rules of their own before all others in iptables, for what comes from the tailnet and what is forwarded to and
 * from pods. Nothing does so for what pods send to their own node, nor in other tables of nftables, where each may drop a packet.
 */
import { tailnetRange } from "../../model/cidr";
import type { ClusterConfig, NodeConfig } from "../../model/config";
import type { Requirement } from "./requirement";

/** A new connection, or the first packet of one. `?` is unknown beforehand. */
interface Packet {
  /** For messages. */
  what: string;
  hook: "input" | "forward";
  /** The interface that it comes in by; bash. */
  from: string;
  to?: string;
  source: string;
  target?: string;
  protocol: "tcp" | "udp";
  port: number;
}

/** A host's own interface of a pod; Cilium's are lxc and a number. */
const podInterface = "lxc12345";

/** Where packets of other nodes come from: interface, in bash, and network. */
function underlayOf(node: NodeConfig, { nodeNetwork }: ClusterConfig): { from: string; source: string } {
  if (nodeNetwork === "tailnet") return { from: "tailscale0", source: tailnetRange };
  const { cidr, address, interface: name } = node.lan ?? {};
  const found = cidr ?? address;
  return {
    from: name !== undefined && !name.endsWith("+") ? name : found !== undefined ? `$(interface_in ${found})` : "?",
    source: cidr ?? "?",
  };
}

/** Packets without which the node does not work. */
function neededPackets(node: NodeConfig, config: ClusterConfig): Packet[] {
  const { podCidr, podRouting, tunnelPort, apiServerPort } = config;
  const isControlPlane = node.role === "control-plane";
  const underlay = underlayOf(node, config);
  const input = (what: string, protocol: Packet["protocol"], port: number) => toNode(what, protocol, port, underlay);
  return [
    input("nodes to the kubelet", "tcp", 10250),
    ...(isControlPlane
      ? [
          input("nodes to the API server", "tcp", apiServerPort),
          input("nodes to etcd", "tcp", 2379),
          input("nodes to etcd's peers", "tcp", 2380),
          toNode("pods to the API server on their own node", "tcp", apiServerPort, pods(podCidr)),
        ]
      : []),
    ...(podRouting === "vxlan"
      ? [input("pods of other nodes, by VXLAN", "udp", tunnelPort)]
      : [
          {
            ...{ what: "pods of other nodes", hook: "forward" as const, from: underlay.from, source: podCidr },
            ...{ to: podInterface, target: podCidr, protocol: "tcp" as const, port: 8080 },
          },
        ]),
  ];
}

/** Where a host's own pods' packets come from. */
const pods = (source: string) => ({ from: podInterface, source });

function toNode(
  what: string,
  protocol: Packet["protocol"],
  port: number,
  origin: Pick<Packet, "from" | "source">,
): Packet {
  return { what: `${what} (${protocol.toUpperCase()} ${port})`, hook: "input", protocol, port, ...origin };
}

/** What a cluster can do without: the metrics server, Cilium's health check, pods' own connections to the outside. */
function usefulPackets(node: NodeConfig, config: ClusterConfig): Packet[] {
  const own = pods(config.podCidr);
  return [
    toNode("pods to the kubelet on their own node", "tcp", 10250, own),
    toNode("nodes to Cilium's health check", "tcp", 4240, underlayOf(node, config)),
    { what: "pods to other machines", hook: "forward", protocol: "tcp", port: 443, ...own },
  ];
}

const words = (packets: readonly Packet[]) =>
  packets
    .map(({ what, hook, from, to = "?", source, target = "?", protocol, port }) =>
      [`${what}=${hook}`, from, to, source, target, protocol, `${port}`].join("|"),
    )
    .map((text) => `"${text}"`)
    .join(" ");

/** The commands that let these packets through, for each kind of packet filter; for a double-quoted string. */
function cure(node: NodeConfig, config: ClusterConfig): string {
  const { podCidr, nodeNetwork } = config;
  const { from, source } = underlayOf(node, config);
  const isTailnet = nodeNetwork === "tailnet";
  const network = source === "?" ? "NETWORK" : source;
  const where = source === "?" ? ", where NETWORK is that of the nodes" : "";
  const nodes = isTailnet
    ? {
        ufw: `in on ${from}`,
        firewalld: `--add-interface=${from}`,
        iptables: `-i ${from}`,
        nft: `iifname ${from}`,
      }
    : {
        ufw: `from ${network}`,
        firewalld: `--add-source=${network}`,
        iptables: `-s ${network}`,
        nft: `ip saddr ${network}`,
      };
  const cures = [
    `ufw allow from ${podCidr} && ufw allow ${nodes.ufw}`,
    `firewall-cmd --permanent --zone=trusted --add-source=${podCidr} ${nodes.firewalld} && firewall-cmd --reload`,
    `iptables -I INPUT -s ${podCidr} -j ACCEPT && iptables -I INPUT ${nodes.iptables} -j ACCEPT, and save them (on Debian and Ubuntu: netfilter-persistent save)`,
    `put ip saddr ${podCidr} accept and ${nodes.nft} accept at the beginning of its input and forward chains (in /etc/nftables.conf), and reload it`,
  ];
  return `$(filter_cure ${cures.map((one) => `'${one}'`).join(" ")})${where}`;
}

export function firewallRequirements(node: NodeConfig, config: ClusterConfig): Requirement[] {
  const drops = "its packet filter ($FILTER_KIND) drops what the cluster needs: $FILTER_DROPS. The rule: $FILTER_BY.";
  const help = `Let it through: ${cure(node, config)}.`;
  // After the first requirement.
  const isReported = '[ -n "$FILTER_UNKNOWN" ] || [ -n "$FILTER_DROPS" ]';
  const needed = words(neededPackets(node, config));
  return [
    {
      id: "firewall",
      kind: "new host",
      answer: "FILTER_UNKNOWN",
      test: `judge_packets ${needed}; [ -z "$FILTER_DROPS" ]`,
      problem: `${drops} ${help}`,
    },
    {
      id: "firewall",
      kind: "risk",
      test: `${isReported} || [ -z "$FILTER_UNSURE" ]`,
      problem: `its packet filter ($FILTER_KIND) may drop what the cluster needs: $FILTER_UNSURE. The rule: $FILTER_BY. If it does: ${cure(node, config)}.`,
    },
    {
      id: "firewall",
      kind: "risk",
      test: `${isReported} || { judge_packets ${words(usefulPackets(node, config))}; [ -z "$FILTER_DROPS" ]; }`,
      problem: `its packet filter ($FILTER_KIND) drops what a cluster may need: $FILTER_DROPS. The rule: $FILTER_BY. ${help}`,
    },
  ];
}
