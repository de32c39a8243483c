# shellcheck shell=bash
# requires: lib/checks/addresses lib/network/tailnet-route-overlap lib/waiting
# Whether the tailnet sends each of the cluster's routes to where it belongs. A device that may advertise a node's pod CIDR, or a part of it,
# gets the traffic for those pods; and one that has it keeps it from the node for as long as it is online.
# Given: TK_NODES, TK_CONTROL_PLANES, TK_ENDPOINT, TK_NODE_NETWORK, TK_POD_ROUTING.

# A route moves some seconds after its device has left, and a control plane that has been removed withdraws the endpoint's.
ROUTES_SECONDS=30

check_routes() {
    local name node planes='' nodes='' found line end=$((SECONDS + ROUTES_SECONDS))
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    for name in $TK_CONTROL_PLANES; do planes+="${NODE_ADDRESS[$name]:-} "; done
    if [ "$TK_POD_ROUTING" = native ]; then
        for node in $TK_NODES; do
            name=${node%%=*}
            [ -z "${NODE_PODS[$name]:-}" ] || nodes+="$name|${node#*=}|${NODE_PODS[$name]} "
        done
    fi
    while :; do
        ask 60 "which routes other devices of the tailnet have (tailscale status)" tailnet_status
        found=$(taken_routes "$planes" "$nodes" <<<"$ANSWER") || fail "cannot read which routes other devices of the tailnet have (tailscale status --json)"
        if [ -z "$found" ] || [ "$SECONDS" -ge "$end" ]; then break; fi
        sleep 5
    done
    while IFS= read -r line; do
        [ -z "$line" ] || failed "$line. Take the route from that device, and let the tailnet's policy approve it only for this cluster's nodes (docs/reference/security.md)"
    done <<<"$found"
}
