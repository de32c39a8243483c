# shellcheck shell=bash
# requires: lib/checks/addresses lib/waiting
# Whether exactly one control plane has the endpoint's address, with endpoint.kind vip: the one with the lease, and it is the one that
# answers ARP.
# Given: TK_ENDPOINT_KIND, TK_ENDPOINT, TK_ENDPOINT_PORT, TK_NODE, TK_CONTROL_PLANES, and NODE_ADDRESS of lib/checks/addresses.sh.

# An address that moves at the moment has moved by then.
VIP_SECONDS=15

vip_holder() { kubectl_admin -n kube-system get lease tailkube-endpoint --ignore-not-found -o 'jsonpath={.spec.holderIdentity}'; }

# mac_of ADDRESS: the MAC address that this host sends to for it, when it has just answered.
mac_of() {
    echo 2>/dev/null >"/dev/udp/$1/9" || true
    sleep 0.3
    ip -4 neigh show "$1" | sed -n 's/.* lladdr \([0-9a-f:]*\) .*/\1/p' | head -n 1
}

# vip_finding: what is wrong with it, in FINDING; nothing if all is well.
vip_finding() {
    local holder mine mac
    FINDING=
    ask 60 "which control plane holds the lease of the endpoint (Lease kube-system/tailkube-endpoint), to the API" vip_holder
    # A name, an underscore and a number for each boot.
    holder=${ANSWER%_*}
    ask 10 "whether this host has the endpoint's address (ip address show to $TK_ENDPOINT/32)" ip -o -4 address show to "$TK_ENDPOINT/32"
    mine=$ANSWER
    if ! declared_control_plane "${holder:-none}"; then
        FINDING="no control plane holds the lease of $TK_ENDPOINT (it names '$holder')"
    elif [ "$holder" = "$TK_NODE" ]; then
        [ -n "$mine" ] || FINDING="$holder holds the lease of $TK_ENDPOINT, but does not have the address"
    elif [ -n "$mine" ]; then
        FINDING="$TK_NODE has the address $TK_ENDPOINT, but $holder holds its lease"
    else
        mac=$(mac_of "$TK_ENDPOINT")
        [ "$mac" = "$(mac_of "${NODE_ADDRESS[$holder]:-}")" ] || FINDING="$holder holds the lease of $TK_ENDPOINT, but ${mac:-no MAC address} answers for it"
    fi
    [ -z "$FINDING" ]
}

check_vip() {
    local end=$((SECONDS + VIP_SECONDS))
    has_vip || return 0
    until vip_finding; do
        [ "$SECONDS" -lt "$end" ] || {
            failed "endpoint: $FINDING; 'journalctl -u tailkube-endpoint' on each control plane says why, and another device may have the address"
            return
        }
        sleep 1
    done
}
