# shellcheck shell=bash
# requires: lib/records/files lib/records/kernel-state lib/units lib/waiting
# The route to the addresses of LoadBalancer services, on a node of a tailnet that takes their traffic.
# Given: TK_LOAD_BALANCER (their network; absent: this node takes none), and with it TK_HOST_LOAD_BALANCER (text of
# host/installed/load-balancer-watch.sh), TK_KUBELET_HEALTH, TK_CILIUM_HEALTH (ports of their health checks on the loopback),
# TK_LOAD_BALANCER_ALONE (yes: no other node takes this traffic).

load_balancer_unit() {
    cat <<'EOF'
[Unit]
Description=Addresses of LoadBalancer services in the tailnet while this node can serve them
# Stopped before them, so that a reboot withdraws the route while everything still works.
After=tailscaled.service tailkube-address.service nftables.service containerd.service kubelet.service
Wants=tailscaled.service
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/lib/tailkube/load-balancer watch
# It withdraws itself; only the shell is to hear of the stop, not the command that it runs at the moment.
KillMode=mixed
TimeoutStopSec=45
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
EOF
}

# Also where an earlier run had the option, or this node took the traffic.
set_load_balancer() {
    local unit=tailkube-load-balancer.service
    if [ -z "${TK_LOAD_BALANCER:-}" ]; then
        remove_load_balancer
        return
    fi
    TK_READERS=$unit install_text "$TK_LIB/load-balancer" 0755 "$TK_HOST_LOAD_BALANCER" || true
    if [ -e "$TK_ETC/load-balancer.env" ] && ! grep -qxF "TAILKUBE_LOAD_BALANCER=$TK_LOAD_BALANCER" "$TK_ETC/load-balancer.env"; then
        # The filter is for the former network.
        unit_stop "$unit"
        remove_load_balancer_filter
    fi
    TK_READERS=$unit install_text "$TK_ETC/load-balancer.env" 0644 "$(
        printf 'TAILKUBE_LOAD_BALANCER=%s\nTAILKUBE_LOAD_BALANCER_ALONE=%s\n' "$TK_LOAD_BALANCER" "$TK_LOAD_BALANCER_ALONE"
        printf 'TAILKUBE_KUBELET_HEALTH=%s\nTAILKUBE_CILIUM_HEALTH=%s' "$TK_KUBELET_HEALTH" "$TK_CILIUM_HEALTH"
    )" || true
    TK_READERS=$unit install_text "/etc/systemd/system/$unit" 0644 "$(load_balancer_unit)" || true
    unit_start "$unit"
}

load_balancer_tables() { own_table tailkube_load_balancer; }
remove_load_balancer_filter() {
    until_none 10 "nft cannot delete it" "which tables nftables has (nft list tables)" load_balancer_tables nft_delete
}

# The script goes last: as long as it is there, the next run finishes a killed one.
remove_load_balancer() {
    local unit=tailkube-load-balancer.service
    owned "$TK_LIB/load-balancer" tailnet && [ -e "$TK_LIB/load-balancer" ] || return 0
    unit_stop "$unit"
    retry 60 "tailscale does not take the withdrawal of the route to LoadBalancer services" "$TK_LIB/routes" unset load-balancer
    remove_load_balancer_filter
    mark_readers "/etc/systemd/system/$unit"
    rm -f -- "/etc/systemd/system/$unit" "$TK_ETC/load-balancer.env"
    reload_units
    rm -f -- "$TK_LIB/load-balancer"
    changed "stopped advertising the addresses of LoadBalancer services"
}
