#!/bin/bash
# UDP GRO forwarding on the NICs of the default routes, as Tailscale recommends it for subnet routers (kb 1320): UDP that arrives there and
# goes on into the tailnet reaches tailscaled in batches. tailkube-udp-gro.service holds it.
#   udp-gro up       sets it, and prints a line for each thing that this host cannot have
#   udp-gro watch    as `up`, and then holds it: default routes come and go, and some drivers reset it with the link
#   udp-gro down     each NIC as it was found
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Seconds between two looks.
interval=30
# What the NICs were before, a file for each by its index, of which a NIC that is plugged in again gets another. Gone with a reboot, as
# the settings themselves.
before=/run/tailkube-udp-gro
interfaces=/sys/class/net
# In this order, for a NIC that has both on prefers the second.
wanted="rx-udp-gro-forwarding=on rx-gro-list=off"

# From 6.2 on, tailscale0 takes such a batch whole (wireguard-go, tun_linux.go: tunUDPOffloads). Before, the kernel would divide it again.
is_kernel_new() { printf '6.2\n%s\n' "$(uname -r)" | sort -CV; }

# nics NAME: the interface itself, and below a bridge, a bond or a VLAN the NICs, for that is where packets are batched. Other ports of a
# bridge belong to containers and virtual machines.
nics() {
    local path lower
    echo "$1"
    for path in "$interfaces/$1"/lower_*; do
        [ -e "$path" ] || continue
        lower=${path##*/lower_}
        if [ -e "$interfaces/$lower/device" ] || compgen -G "$interfaces/$lower/lower_*" >/dev/null; then nics "$lower"; fi
    done
}

# devices: whatever leads out of this host. Fails without an answer.
devices() {
    local name names routes
    routes=$(ip -4 route show default) || return
    # A kernel may have no IPv6.
    [ ! -e /proc/net/if_inet6 ] || routes+=$'\n'$(ip -6 route show default) || return
    # Others are of a kind such as "unreachable".
    names=$(sed -nE 's/^(default|[[:space:]]+nexthop) .*dev ([^ ]+).*/\2/p' <<<"$routes")
    for name in $names; do nics "$name"; done | sort -u
}

# state FEATURE: from what `ethtool -k` prints, on or off, with "fixed" behind it if it cannot be changed; nothing if there is none.
state() { awk -v key="$1:" '$1 == key {print $2 ($3 == "[fixed]" ? " fixed" : "")}'; }

# keep NAME TEXT: what the NIC was, before its first change. `up` and `watch` may come at the same time: whichever looked before the
# change has the same to write.
keep() {
    local index pair new=$before/.$BASHPID
    read -r index <"$interfaces/$1/ifindex" || return
    [ ! -e "$before/$index" ] || return 0
    mkdir -p "$before" || return
    for pair in $wanted; do printf '%s %s\n' "${pair%=*}" "$(state "${pair%=*}" <<<"$2")"; done >"$new" || return
    mv -f "$new" "$before/$index"
}

# set_nic NAME: prints a line for each thing that it cannot have.
set_nic() {
    local pair key value now text said
    text=$(ethtool -k "$1" 2>&1) || {
        echo "$1: ethtool -k $1: $(head -n 1 <<<"$text")"
        return 0
    }
    for pair in $wanted; do
        key=${pair%=*} value=${pair#*=}
        now=$(state "$key" <<<"$text")
        case "$now" in
        "$value"*) ;;
        '') [ "$value" = off ] || echo "$1: it has no $key" ;;
        *fixed) echo "$1: $key is ${now% *} [fixed]" ;;
        *)
            keep "$1" "$text" || {
                echo "$1: cannot note below $before what it was, so it was not changed"
                return 0
            }
            said=$(ethtool -K "$1" "$key" "$value" 2>&1) || true
            [[ $(ethtool -k "$1" 2>/dev/null | state "$key") == "$value"* ]] ||
                echo "$1: $key stays $now (ethtool -K $1 $key $value: $(head -n 1 <<<"${said:-no error}"))"
            ;;
        esac
    done
}

up() {
    local found name
    is_kernel_new || {
        echo "the kernel $(uname -r) is older than 6.2, from which on Tailscale uses it; nothing was changed"
        return 0
    }
    found=$(devices) || {
        echo "ip does not answer which interfaces have a default route"
        return 0
    }
    [ -n "$found" ] || echo "no interface has a default route"
    for name in $found; do set_nic "$name"; done
}

watch() {
    local said='' now
    while true; do
        now=$(up) || true
        # Once, into the journal.
        [ "$now" = "$said" ] || [ -z "$now" ] || echo "$now"
        said=$now
        sleep "$interval"
    done
}

# restore NAME RECORD: what could not be changed was not.
restore() {
    local key value
    while read -r key value; do
        case $value in on | off) ;; *) continue ;; esac
        [ "$(ethtool -k "$1" | state "$key")" = "$value" ] || ethtool -K "$1" "$key" "$value"
    done <"$2"
}

down() {
    local path index
    [ -d "$before" ] || return 0
    for path in "$interfaces"/*; do
        # It may go in this moment, and its settings with it.
        read -r index 2>/dev/null <"$path/ifindex" || continue
        [ -e "$before/$index" ] || continue
        restore "${path##*/}" "$before/$index"
        rm -f "$before/$index"
    done
    # Of NICs that are gone.
    rm -rf "$before"
}

case ${1:-} in
up | watch | down) "$1" ;;
*)
    echo "usage: udp-gro up|watch|down" >&2
    exit 2
    ;;
esac
