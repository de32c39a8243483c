# shellcheck shell=bash
# requires: lib/api lib/waiting
# The paths between this control plane and the others, over which the members of etcd send their heartbeats: average round-trip time,
# lost pings and, in a tailnet, whether the path is direct. A host that inits the cluster measures those to all declared control planes,
# one that joins those to all that are in the cluster, each before etcd changes: so each pair is measured before it is one of etcd's. A
# control plane that is in the cluster measures them whenever its stage runs again, and then no result is an error.
# Given: TK_NODE, TK_NODE_NETWORK, TK_ROUND_TRIP_LIMIT (milliseconds, components/kubernetes/settings/etcd-timing.ts).

# In 1 s: root may. One lost ping is 2 %.
PINGS=50

# A line "NAME AVERAGE SENT RECEIVED PATH" for each control plane: the average in milliseconds; PATH is direct, relay:REGION (of DERP)
# or peer-relay. `-` for what is unknown: no answer is neither good nor too slow.
ROUND_TRIPS=

# ping_round ADDRESS: "AVERAGE SENT RECEIVED"; fails if nothing came back.
ping_round() {
    local said sent received average
    said=$(timeout 20 ping -n -q -c "$PINGS" -i 0.02 -W 3 "$1" 2>/dev/null) || true
    read -r sent received <<<"$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' <<<"$said")"
    average=$(sed -n 's,^rtt min/avg/max/mdev = [0-9.]*/\([0-9.]*\)/.*,\1,p' <<<"$said")
    [ -n "$average" ] && [ "${received:-0}" -gt 0 ] && echo "$average $sent $received"
}

# tailnet_path ADDRESS: the way that tailscaled's own pings take in the end. The first ones may be relayed until there is a direct path,
# at which they stop.
tailnet_path() {
    local said
    said=$(timeout 30 tailscale ping -c 8 --timeout 2s "$1" 2>/dev/null) || true
    case $(sed -n 's/^pong from .* via \([^ ]*\) in .*/\1/p' <<<"$said" | tail -n 1) in
    '') echo - ;;
    'DERP('*) sed -n 's/^pong from .* via DERP(\([A-Za-z0-9_-]*\)) in .*/relay:\1/p' <<<"$said" | tail -n 1 ;;
    'peer-relay('*) echo peer-relay ;;
    *) echo direct ;;
    esac
}

# is_too_far AVERAGE
is_too_far() { [ "$1" != - ] && awk -v average="$1" -v limit="$TK_ROUND_TRIP_LIMIT" 'BEGIN {exit !(average > limit)}'; }

# measure_path NAME ADDRESS: its line. A second round where nothing came back, and before a path counts as too slow.
measure_path() {
    local path=- pings
    [ "$TK_NODE_NETWORK" = lan ] || path=$(tailnet_path "$2")
    pings=$(ping_round "$2") || pings="- - -"
    if [ "$pings" = "- - -" ] || is_too_far "${pings%% *}"; then pings=$(ping_round "$2") || pings="- - -"; fi
    echo "$1 $pings ${path:--}"
}

# measure_round_trips NAMES-AND-ADDRESSES ("NAME ADDRESS" lines): all at once, within 70 s; without this host.
measure_round_trips() {
    # The lock is the stage's: a ping that outlives it must not hold it.
    ROUND_TRIPS=$(
        while read -r name address; do
            if [ -n "$address" ] && [ "$name" != "$TK_NODE" ]; then measure_path "$name" "$address" </dev/null 9>&- & fi
        done <<<"$1"
        wait
    )
    ROUND_TRIPS=$(sort <<<"$ROUND_TRIPS")
}

# reject_far WHAT: fails if a path is so slow that no time-outs of etcd help. WHAT says what was not done.
reject_far() {
    local name average path far=''
    while read -r name average _ _ path; do
        if [ -z "$name" ] || ! is_too_far "$average"; then continue; fi
        far+="${far:+, }$name $average ms"
        case $path in relay:*) far+=" (relayed through ${path#relay:})" ;; peer-relay) far+=" (through a peer relay)" ;; esac
    done <<<"$ROUND_TRIPS"
    [ -z "$far" ] ||
        fail "the average round-trip time from this host to other control planes is too long: $far. Allowed: at most $TK_ROUND_TRIP_LIMIT ms, because no time-outs of etcd help above that (docs/operate/wan.md). $1. Give these hosts a faster path, or declare others as control planes"
}

control_plane_addresses() {
    kubectl_cluster get nodes -l node-role.kubernetes.io/control-plane -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
}

# ask_round_trips: of a host that joins, to all that are in.
ask_round_trips() {
    ask 60 "which control planes the cluster has, to the API" control_plane_addresses
    measure_round_trips "$ANSWER"
}

# try_round_trips: of a host that is in. Without an answer from the API all stays unknown.
try_round_trips() {
    local planes
    planes=$(control_plane_addresses 2>/dev/null) || planes=$(sleep 2 && control_plane_addresses 2>/dev/null) || return 0
    measure_round_trips "$planes"
}
