#!/bin/bash
# What Tailscale and Cilium need from this host's network to work beside each other, and what keeps the tailnet from taking
# over the host's own networks. tailkube-network.service runs it.
#   network up      add what is missing
#   network watch   as `up`, and then hold it: tailscaled and the network managers change some of it while they run
#   network down    remove all of it
# On the host lib/network/policy-rules.sh stands before it, as one file.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/node.env

# Seconds between two checks, and how many checks pass between two of the slower ones.
interval=2
slower=15
# TPROXY, which Cilium's DNS and L7 policies, Gateway and Ingress depend on, loses every packet while this is 1, and tailscaled
# (1.98 and newer) sets it to 1 whenever it starts.
src_valid_mark=/proc/sys/net/ipv4/conf/all/src_valid_mark

# rules FAMILY: the rules we want, one per line, as `ip rule show` prints them. Table 52 is Tailscale's. All of them come
# before Tailscale's own, which begin at 5210: its rule 5210 sends fwmark 0x80000/0xff0000 to table main, and Cilium writes a
# pod's identity into bits 16-31, so that 1 pod in 256 would lose all traffic to other nodes. Rules without a mark cover every
# mark of Cilium's; tailscaled itself never sends to these networks (the filter below drops what would).
rules() {
    if [ "$1" = -4 ]; then
        # This node's own pods, and with a tunnel all pods: their routes are in main, and more specific than the pod CIDR itself.
        # A route that another device advertises for them must not win.
        echo "5180: from all to $TAILKUBE_POD_CIDR lookup main suppress_prefixlength ${TAILKUBE_POD_CIDR#*/}"
        [ "$TAILKUBE_POD_ROUTING" != native ] || echo "5200: from all to $TAILKUBE_POD_CIDR lookup 52"
        [ -z "${TAILKUBE_ENDPOINT:-}" ] || echo "5201: from all to $TAILKUBE_ENDPOINT lookup 52"
        echo "5202: from all to 100.64.0.0/10 lookup 52"
    fi
    # The host's own networks win over routes that other devices of the tailnet advertise. Prefixes of up to 7 bits do not
    # count: they are default routes, and the halves of one that VPN clients make.
    echo "5205: from all lookup main suppress_prefixlength 7"
}

# First the missing ones, then away with those that are not wanted any more: there is no moment without a way.
set_rules() {
    local family rule found
    for family in $(families); do
        found=$(policy_rules "$family")
        while IFS= read -r rule; do
            grep -qxF -- "$rule" <<<"$found" || add_policy_rule "$family" "$rule"
        done < <(rules "$family")
        remove_rules "$family" "$(rules "$family")"
    done
}

# remove_rules FAMILY KEPT: removes what is at our preferences, except KEPT.
remove_rules() {
    local rule
    while IFS= read -r rule; do
        [ -z "$rule" ] || grep -qxF -- "$rule" <<<"$2" || remove_policy_rule "$1" "$rule"
    done < <(policy_rules "$1")
}

# tailscaled's UDP ports: 41641 unless it was started with another one.
ports() {
    {
        echo 41641
        { ss -Huanp 2>/dev/null || true; } | awk '/"tailscaled"/ {n = split($4, part, ":"); if (part[n] ~ /^[0-9]+$/) print part[n]}'
    } | sort -un | paste -sd, -
}

# tailscaled offers cilium_host's address to its peers as an endpoint of its own: a peer that takes it would tunnel in a
# circle.
set_filter() {
    nft -f - <<END
table inet tailkube
delete table inet tailkube
table inet tailkube {
    chain output {
        type filter hook output priority filter; policy accept;
        ip daddr $TAILKUBE_POD_CIDR udp sport { $1 } counter drop
    }
}
END
}

# Interfaces that replies to marked packets come in by: Tailscale's, and those with a default route.
uplinks() {
    [ ! -e /proc/sys/net/ipv4/conf/tailscale0 ] || echo tailscale0
    ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u
}

# allow_tproxy: src_valid_mark is safe to clear only where the reverse path filter is not strict (1), because the kernel then
# looks for the way back without the mark. Loose (2) still drops addresses that no route knows.
allow_tproxy() {
    local value all own name
    read -r value <"$src_valid_mark"
    [ "$value" != 0 ] || return 0
    read -r all </proc/sys/net/ipv4/conf/all/rp_filter
    for name in $(uplinks); do
        read -r own <"/proc/sys/net/ipv4/conf/$name/rp_filter" || continue
        # The larger of the two is in force.
        [ "$((own > all ? own : all))" != 1 ] || echo 2 >"/proc/sys/net/ipv4/conf/$name/rp_filter"
    done
    echo 0 >"$src_valid_mark"
    echo "src_valid_mark is 0 again: something, such as a start of tailscaled, had set it to $value"
}

up() {
    filtered=$(ports)
    set_rules
    set_filter "$filtered"
    allow_tproxy
}

watch() {
    local checks=0 now
    up
    while true; do
        sleep "$interval"
        # What fails now is tried again with the next check.
        allow_tproxy || true
        checks=$(((checks + 1) % slower))
        [ "$checks" = 0 ] || continue
        set_rules || true
        now=$(ports)
        if [ "$now" != "$filtered" ] || ! nft list table inet tailkube >/dev/null 2>&1; then
            if set_filter "$now"; then filtered=$now; fi
        fi
    done
}

down() {
    local family
    for family in $(families); do remove_rules "$family" ""; done
    nft delete table inet tailkube 2>/dev/null || true
}

case ${1:-} in
up | watch | down) "$1" ;;
*)
    echo "usage: network up|watch|down" >&2
    exit 2
    ;;
esac
