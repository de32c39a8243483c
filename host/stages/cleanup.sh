# shellcheck shell=bash
# requires: lib/network/tailnet-units lib/network/lan-units lib/software/remove-runtime lib/node/reset
# Takes everything of ours off a host, all stages at once and newest first, from whole ones as from those that failed or
# were killed: what a stage has written down is what is undone.
# Given: TK_BUNDLE, TK_ROLE, TK_HOST_GUARD.

# shellcheck disable=SC2153  # TK_STATE is lib/base.sh's, no misspelling
# What the end of a cleanup is compared with: the endpoint of a control plane; the pods' network, and lan or tailnet. The files that
# say so go with their stages.
FORMER_ENDPOINT=$TK_STATE/undo-endpoint
FORMER_PODS=$TK_STATE/undo-pods

note_network() {
    local network=tailnet endpoint node_ip cidr
    endpoint=$(sed -n 's/^TAILKUBE_ENDPOINT=//p' "$TK_ETC/endpoint.env" 2>/dev/null) || true
    cidr=$(sed -n 's/^TAILKUBE_POD_CIDR=//p' "$TK_ETC/node.env" 2>/dev/null) || true
    [ ! -e "$TK_STATE/owned.lan" ] || network=lan
    # Only the watch of a lan goes by the node IP.
    node_ip=$(sed -n 's/^TAILKUBE_ADDRESS=//p' "$TK_ETC/endpoint.env" 2>/dev/null) || true
    [ -z "$endpoint" ] || record "$FORMER_ENDPOINT" "$endpoint${node_ip:+ vip}"
    [ -z "$cidr" ] || record "$FORMER_PODS" "$cidr $network"
}

# shellcheck disable=SC2317  # of until_none, in verify_network, whose endpoint and kind they know
endpoint_addresses() {
    local text
    if [ "$kind" = vip ]; then
        text=$(ip -o -4 address show to "$endpoint/32") || return
        awk -v endpoint="$endpoint/32" 'NF {print endpoint, "on", $2}' <<<"$text"
    else
        text=$(ip -o -4 address show dev lo to "$endpoint/32") || return
        [ -z "$text" ] || printf '%s\n' "$endpoint/32"
    fi
}
# shellcheck disable=SC2317
remove_address() {
    local device=lo
    [ "$kind" != vip ] || device=${1##* }
    ip address del "$endpoint/32" dev "$device"
}

# verify_network: none of this is there at the end, also if something has put it back since its stage removed it: a host with the
# endpoint on its own loopback reaches no other cluster's there, and without a word. Fails with what stays.
verify_network() {
    local endpoint kind cidr network
    if [ -e "$FORMER_ENDPOINT" ]; then
        read -r endpoint kind <"$FORMER_ENDPOINT"
        until_none 10 "the endpoint's address cannot be removed from its interface (ip address del $endpoint/32 dev NAME)" "which interface has the endpoint's address (ip -4 address show to $endpoint/32)" endpoint_addresses remove_address
        rm -f -- "$FORMER_ENDPOINT"
    fi
    [ -e "$FORMER_PODS" ] || return 0
    read -r cidr network <"$FORMER_PODS"
    until_none 10 "what leads to Cilium's routing tables cannot be removed" "which policy rules and routes are Cilium's (ip rule show, ip route show table 2004)" cilium_rules remove_rule
    if [ "$network" = lan ]; then
        until_none 10 "the route to another node's pods cannot be removed (ip -4 route flush root $cidr)" "which routes this host has (ip -4 route show root $cidr)" pod_routes flush_pods
    else
        until_none 10 "this policy rule of tailkube's cannot be removed (ip rule del)" "which policy rules this host has (ip rule show)" network_rules remove_network_rule
    fi
    rm -f -- "$FORMER_PODS"
}

# shellcheck disable=SC2034,SC2153  # TK_STAGE is lib/base.sh's, TK_STATE is not a misspelling of it
remove() {
    local stage
    if compgen -G "$TK_STATE/owned.*" >/dev/null; then guard_network remove; fi
    note_network
    if [ -e "$TK_STATE/owned.control-plane" ] || [ -e "$TK_STATE/owned.join" ]; then
        unit_stop tailkube-endpoint.service
        # Before Cilium goes: clients reach another node from here on.
        unit_stop tailkube-load-balancer.service
        unit_stop tailkube-approve.timer
        reset_node
        # The notes and copies of an upgrade that was killed, and the automatic snapshots of etcd; others there are the user's.
        rm -rf "$TK_STATE/upgrading" "$TK_STATE/former" "$TK_STATE/former.new"
        rm -f "$TK_STATE"/snapshots/auto-*
        for stage in upgrade control-plane join; do TK_STAGE=$stage clean_up_files; done
    fi
    [ ! -e "$TK_STATE/owned.peers" ] || TK_STAGE=peers clean_up_files
    for stage in runtime tailnet lan; do
        [ -e "$TK_STATE/owned.$stage" ] || continue
        TK_STAGE=$stage
        "remove_$stage"
    done
    TK_STAGE=cleanup
    verify_network
    # Of a run that was killed after its last record had gone.
    rmdir -- "$TK_STATE" "$TK_ETC" "$TK_LIB" 2>/dev/null || true
    rm -rf "$TK_RUN"
    result
}
