#!/bin/bash
# The two things that pods routed over tailscale0 need from the host's network, kept over reboots by
# tailkube-network.service. `network up` adds what is missing, `network down` removes it.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/node.env

# Tailscale's rule 5210 sends fwmark 0x80000/0xff0000 to table main, and Cilium writes a pod's identity into bits 16-31:
# 1 pod identity in 256 would lose all traffic to other nodes. 0xf00 is Cilium's mark for pod traffic, which tailscaled's
# own packets do not carry; table 52 is Tailscale's.
rule=(fwmark 0xf00/0xf00 to "$TAILKUBE_POD_CIDR" lookup 52)
pref=5200

rule_exists() { ip rule show pref "$pref" | grep -q .; }

case ${1:-} in
up)
    if [ "$TAILKUBE_POD_ROUTING" = native ]; then
        rule_exists || ip rule add pref "$pref" "${rule[@]}"
    fi
    # tailscaled offers cilium_host's address to its peers as an endpoint of its own: a peer that takes it would tunnel
    # in a circle.
    nft -f - <<EOF
table inet tailkube
delete table inet tailkube
table inet tailkube {
    chain output {
        type filter hook output priority filter; policy accept;
        ip daddr $TAILKUBE_POD_CIDR udp sport 41641 counter drop
    }
}
EOF
    ;;
down)
    while rule_exists; do ip rule del pref "$pref"; done
    nft delete table inet tailkube 2>/dev/null || true
    ;;
*) echo "usage: network up|down" >&2; exit 2 ;;
esac
