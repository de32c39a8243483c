# shellcheck shell=bash
# requires: lib/network/policy-rules lib/network/tailnet-and-lan lib/network/tailnet-login lib/network/load-balancer-route lib/network/udp-gro-unit
# What keeps a tailnet working on a host: units for routes, policy rules and Cilium; and how all of it is removed.
# Given: TK_HOST_ROUTES, TK_HOST_NETWORK, TK_HOST_WAIT_ADDRESS, TK_HOST_CILIUM (texts of host/installed/*), and
# what tailnet-and-lan.sh needs.

# A subnet router forwards.
forward_ipv4() {
    install_text /etc/sysctl.d/90-tailkube-forward.conf 0644 'net.ipv4.ip_forward = 1' || true
    ask 30 "whether this host forwards packets (sysctl -n net.ipv4.ip_forward)" sysctl -n net.ipv4.ip_forward
    [ "$ANSWER" = 1 ] || retry 10 "this kernel does not take the setting net.ipv4.ip_forward=1, which a node needs (sysctl -w)" sysctl -qw net.ipv4.ip_forward=1
}

# What keeps the routes of this host advertised, whoever else sets them.
routes_unit() {
    cat <<'EOF'
[Unit]
Description=Keep this node's routes advertised to the tailnet
After=tailscaled.service nftables.service
Wants=tailscaled.service
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/lib/tailkube/routes watch
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
EOF
}

network_unit() {
    cat <<'EOF'
[Unit]
Description=Policy rules, filter and kernel settings for pods over the tailnet
After=tailscaled.service nftables.service
Wants=tailscaled.service

[Service]
ExecStartPre=/usr/local/lib/tailkube/network up
ExecStart=/usr/local/lib/tailkube/network watch
ExecStopPost=/usr/local/lib/tailkube/network down
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
EOF
}

# PartOf for a restart, also systemd's own after a crash; WantedBy for a start after a stop.
cilium_unit() {
    cat <<'EOF'
[Unit]
Description=Restart Cilium's agent when tailscaled has made tailscale0 anew
PartOf=tailscaled.service
After=tailscaled.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStart=/usr/local/lib/tailkube/cilium

[Install]
WantedBy=tailscaled.service
EOF
}

install_tailnet_units() {
    local address=$1
    TK_READERS=tailkube-routes.service install_text "$TK_LIB/routes" 0755 "$TK_HOST_ROUTES" || true
    install_text "$TK_LIB/wait-address" 0755 "$TK_HOST_WAIT_ADDRESS" || true
    install_text "$TK_LIB/cilium" 0755 "$TK_HOST_CILIUM" || true
    TK_READERS=tailkube-network.service install_text "$TK_LIB/network" 0755 "$TK_HOST_NETWORK" || true
    TK_READERS=tailkube-network.service install_node_env "$address" || true
    install_text /etc/systemd/system/tailkube-address.service 0644 "$(address_unit tailscaled.service)" || true
    install_text /etc/systemd/system/tailkube-network.service 0644 "$(network_unit)" || true
    install_text /etc/systemd/system/tailkube-cilium.service 0644 "$(cilium_unit)" || true
    TK_READERS=tailkube-routes.service install_text /etc/systemd/system/tailkube-routes.service 0644 "$(routes_unit)" || true
    command -v nft >/dev/null || apt_install nftables
    unit_start tailkube-network.service
    unit_start tailkube-address.service
    unit_start tailkube-cilium.service
    unit_start tailkube-routes.service
}

masquerade_tables() { own_table tailkube_masquerade; }
filter_tables() { own_table tailkube; }

# network_rules: "FAMILY PREFERENCE: RULE" of each of our policy rules.
network_rules() {
    local family text
    for family in $(families); do
        text=$(policy_rules "$family") || return
        sed "/./!d; s/^/$family /" <<<"$text"
    done
}
remove_network_rule() { remove_policy_rule "${1%% *}" "${1#* }"; }

# Away with what this stage has made, the device in the tailnet included.
remove_tailnet() {
    local fresh=''
    grep -qsxF /var/lib/tailscale/.tailkube "$TK_STATE/owned.tailnet" && fresh=1
    # First, for it would put back what is withdrawn.
    unit_stop tailkube-routes.service
    unit_stop tailkube-load-balancer.service
    unit_stop tailkube-address.service
    unit_stop tailkube-cilium.service
    if owned "$TK_LIB/udp-gro" && [ -e "$TK_LIB/udp-gro" ]; then undo_udp_gro; fi
    leave_tailnet
    if [ -e "$TK_ETC/masquerade.nft" ]; then
        until_none 10 "nft cannot delete it" "which tables nftables has (nft list tables)" masquerade_tables nft_delete
    fi
    rm -rf "$TK_ETC/routes.d" "$TK_STATE/advertised"
    # Of a run that was killed while it wrote.
    rm -f "$TK_STATE/.advertised" "$TK_STATE/tailscale-prefs.new" "$TK_STATE/found-logged-in.new" "$TK_STATE/logged-in.new"
    if grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
        unit_stop tailscaled.service
        /usr/local/sbin/tailscaled --cleanup >/dev/null 2>&1 || true
        [ -z "$fresh" ] || rm -rf /var/lib/tailscale /var/cache/tailscale
    fi
    # Its rules keep the host's own networks from what other devices advertise, for as long as Tailscale is up.
    unit_stop tailkube-network.service
    # It says nothing of what it could not take away when it stopped.
    if owned "$TK_LIB/network" tailnet; then
        until_none 10 "this policy rule of tailkube's cannot be removed (ip rule del)" "which policy rules this host has (ip rule show)" network_rules remove_network_rule
        until_none 10 "nft cannot delete it" "which tables nftables has (nft list tables)" filter_tables nft_delete
    fi
    if owned "$TK_LIB/load-balancer" tailnet; then remove_load_balancer_filter; fi
    clean_up_network
    rm -rf /run/tailkube-routes.lock /run/tailkube-routes.withdrawn
}
