# shellcheck shell=bash
# requires: lib/network/tailnet-and-lan lib/software/packages
# A host in a lan: the node IP is an address that the host has already. Units that other stages
# lean on, and the interface's checksum offload.
# Given: TK_ADDRESS (node IP), TK_POD_CIDR, TK_POD_ROUTING, TK_CHECKSUM_OFFLOAD (on or off), TK_HOST_WAIT_ADDRESS,
# TK_HOST_OFFLOAD (texts of host/installed/*).

node_ip_is_up() { ip -o -4 address show to "$TK_ADDRESS/32" | grep -q .; }

offload_unit() {
    cat <<'EOF'
[Unit]
Description=No checksum offload on the interface of the node's address
Wants=tailkube-address.service
After=tailkube-address.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/tailkube/offload off
ExecStop=/usr/local/lib/tailkube/offload on

[Install]
WantedBy=multi-user.target
EOF
}

install_lan_units() {
    install_text "$TK_LIB/wait-address" 0755 "$TK_HOST_WAIT_ADDRESS" || true
    install_node_env "$TK_ADDRESS" || true
    install_text /etc/systemd/system/tailkube-address.service 0644 "$(address_unit network.target)" || true
    unit_start tailkube-address.service
}

# The unit is what makes it last over a reboot. Without it the offload is as it was found.
set_offload() {
    if [ "$TK_CHECKSUM_OFFLOAD" = on ]; then
        if [ -e /etc/systemd/system/tailkube-offload.service ]; then
            unit_stop tailkube-offload.service
            mark_readers /etc/systemd/system/tailkube-offload.service
            rm -f /etc/systemd/system/tailkube-offload.service "$TK_LIB/offload"
            changed "checksum offload as it was"
        fi
        reload_units
        return
    fi
    command -v ethtool >/dev/null || apt_install ethtool
    TK_READERS=tailkube-offload.service install_text "$TK_LIB/offload" 0755 "$TK_HOST_OFFLOAD" || true
    TK_READERS=tailkube-offload.service install_text /etc/systemd/system/tailkube-offload.service 0644 "$(offload_unit)" || true
    try_unit_start tailkube-offload.service || fail "the checksum offload cannot be turned off (journalctl -u tailkube-offload)"
}

# shellcheck disable=SC2317  # of until_none, in remove_lan, whose cidr they know
pod_routes() { ip -4 route show root "$cidr"; }
# shellcheck disable=SC2317
flush_pods() { ip -4 route flush root "$cidr"; }

# Away with what this stage has made.
remove_lan() {
    local cidr
    unit_stop tailkube-offload.service
    unit_stop tailkube-address.service
    # Cilium's routes to other nodes' pods stand on the host's own interface.
    cidr=$(sed -n 's/^TAILKUBE_POD_CIDR=//p' "$TK_ETC/node.env" 2>/dev/null) || true
    [ -z "$cidr" ] || until_none 10 "the route to another node's pods cannot be removed (ip -4 route flush root $cidr)" "which routes this host has (ip -4 route show root $cidr)" pod_routes flush_pods
    clean_up_network
}
