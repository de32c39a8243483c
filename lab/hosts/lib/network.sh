# The network: a bridge between the hosts (eth1), and a dead end behind each host's eth0.
# shellcheck shell=bash

network_bridge_up() {
  [[ -d /sys/class/net/$BRIDGE ]] || ip link add "$BRIDGE" type bridge
  # Frames between hosts are no business of the machine's own firewall.
  ip link set "$BRIDGE" type bridge nf_call_iptables 0 nf_call_ip6tables 0 2>/dev/null || true
  ip address replace "$BRIDGE_ADDRESS/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
}

# network_create NAME: a fresh network namespace with eth0 and eth1, both down. Made anew for every boot: nothing that a
# real reboot clears (addresses, rules, routes, filters, interfaces, traffic control) can survive in it.
network_create() {
  local netns nat last
  netns=$(host_netns "$1")
  nat=$(host_nat_netns "$1")
  last=$(host_address "$1")
  last=${last##*.}
  network_remove "$1"
  ip netns add "$netns"
  ip netns add "$nat"
  # eth0 first, so that it has the lower index: who takes "the first interface" takes the wrong one. The same MAC and
  # address on every host, as behind the NAT of VirtualBox.
  ip link add eth0 netns "$netns" address 52:54:00:12:34:56 type veth peer name uplink netns "$nat"
  ip link add "$netns" type veth peer name eth1 address "$(printf '52:54:00:4d:1f:%02x' "$last")" netns "$netns"
  ip link set "$netns" master "$BRIDGE"
  network_plug "$1"
  network_segment "$1"
  network_delay "$1"
  # The gateway answers ARP, and "unreachable" to all that is sent through it: it forwards, but has no route.
  ip -n "$nat" link set lo up
  ip -n "$nat" address add 10.0.2.2/24 dev uplink
  ip -n "$nat" address add 10.0.2.3/24 dev uplink
  ip -n "$nat" link set uplink up
  ip netns exec "$nat" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  if [[ $(host_sources) == official ]]; then network_outside "$nat" "$last"; fi
}

# network_outside NAT LAST: what installs from the official places gets there and to a name server, as behind VirtualBox's NAT, but
# to no other host.
network_outside() {
  local nat=$1 server here=172.31.78.$((2 * $2)) there=172.31.78.$((2 * $2 + 1))
  server=$(awk '$1 == "nameserver" && $2 ~ /^[0-9.]+$/ && $2 !~ /^127\./ {print $2; exit}' /etc/resolv.conf \
    /run/systemd/resolve/resolv.conf 2>/dev/null) || true
  [[ -n $server ]] || die 'no name server for hosts: /etc/resolv.conf has no IPv4 address that is not this machine itself'
  machine_packages_install
  ip link add "$nat" type veth peer name outside netns "$nat"
  ip address add "$here/31" dev "$nat"
  ip link set "$nat" up
  ip -n "$nat" address add "$there/31" dev outside
  ip -n "$nat" link set outside up
  ip -n "$nat" route add default via "$here"
  ip netns exec "$nat" nft -f - <<END
table ip nat {
  chain names { type nat hook prerouting priority dstnat; ip daddr 10.0.2.3 meta l4proto { tcp, udp } th dport 53 dnat to $server; }
  chain out { type nat hook postrouting priority srcnat; oifname "outside" masquerade; }
}
END
  nft -f - <<END
table ip $PREFIX
delete table ip $PREFIX
table ip $PREFIX {
  chain peers { type filter hook forward priority filter; ip saddr 172.31.78.0/24 oifname "$BRIDGE" drop; }
  chain out { type nat hook postrouting priority srcnat; ip saddr 172.31.78.0/24 masquerade; }
}
END
  setting_raise "$FORWARDING" 1
}

# network_plug NAME: eth1 has a carrier if and only if the other end is up.
network_plug() {
  if cable_is_out "$1"; then ip link set "$(host_netns "$1")" down; else ip link set "$(host_netns "$1")" up; fi
}

# network_segment NAME: veths pass on up to 64 KB as one frame. Where frames are to be lost they have the size that they have
# on a wire, or each loss would be one of forty packets in a row.
network_segment() {
  local segments=65535
  [[ -z $(loss_percent) ]] || segments=1
  ip -n "$(host_netns "$1")" link set eth1 gso_max_segs "$segments"
}

network_remove() {
  local netns
  delay_end "$1"
  # The link first: the kernel takes a namespace's links down some time after it is gone.
  ip link delete "$(host_netns "$1")" 2>/dev/null || true
  for netns in "$(host_netns "$1")" "$(host_nat_netns "$1")"; do
    [[ ! -e /run/netns/$netns ]] || ip netns delete "$netns"
  done
}

# Removes every namespace and link of the lab, also those that no host directory names any more.
network_remove_all() {
  local name
  for name in $(network_links); do ip link delete "$name" 2>/dev/null || true; done
  for name in $(network_namespaces); do
    ip netns delete "$name" 2>/dev/null || rm -f "/run/netns/$name"
  done
  # `ip netns add` mounts this directory onto itself, and nobody takes it away again.
  if mountpoint -q /run/netns && [[ -z $(ls -A /run/netns) ]]; then
    umount /run/netns
    rmdir /run/netns
  fi
}

network_links() { find /sys/class/net -maxdepth 1 -name "$PREFIX*" -printf '%f\n'; }
network_namespaces() { [[ ! -d /run/netns ]] || find /run/netns -maxdepth 1 -name "$PREFIX-*" -printf '%f\n'; }
