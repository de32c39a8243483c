# shellcheck shell=bash
# requires: lib/api lib/records/files lib/units
# The API endpoint on this control plane while its API server is ready: in a tailnet on the loopback and advertised, and in a lan, with
# endpoint.kind vip, on the interface with the node IP of one control plane at a time. Else the endpoint is the user's own business.
# Given: TK_NODE_NETWORK, TK_ENDPOINT_KIND (vip, or absent), TK_NODE_IP, TK_ENDPOINT, TK_ENDPOINT_PORT, TK_HOST_ENDPOINT (text of
# host/installed/endpoint-watch.sh or of vip-watch.sh).

# Lets vip-watch.sh have the address without a lease, until there is an API server to keep one. It goes with a reboot.
FOUNDING=$TK_RUN/founding

# keeps_endpoint: whether the endpoint is this program's.
keeps_endpoint() { [ "$TK_NODE_NETWORK" = tailnet ] || has_vip; }

endpoint_unit() {
    local after="tailscaled.service tailkube-address.service containerd.service kubelet.service" wants=tailscaled.service
    if has_vip; then after=${after#* } wants=tailkube-address.service; fi
    cat <<UNIT
[Unit]
Description=Kubernetes API endpoint where a ready API server is
# Stopped before them, so that a reboot withdraws the endpoint while everything still works.
After=$after
Wants=$wants
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/lib/tailkube/endpoint watch
# It withdraws itself; only the shell is to hear of the stop, not the command that it runs at the moment.
KillMode=mixed
TimeoutStopSec=45
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
UNIT
}

endpoint_settings() {
    printf 'TAILKUBE_ENDPOINT=%s\nTAILKUBE_ENDPOINT_PORT=%s' "$TK_ENDPOINT" "$TK_ENDPOINT_PORT"
    if has_vip; then printf '\nTAILKUBE_NODE=%s\nTAILKUBE_ADDRESS=%s' "$TK_NODE" "$TK_NODE_IP"; fi
}

# endpoint_devices: the interfaces with the endpoint's address. Fails without an answer.
endpoint_devices() {
    local text on=(dev lo)
    if has_vip; then on=(); fi
    text=$(ip -o -4 address show "${on[@]}" to "$TK_ENDPOINT/32") || return
    awk 'NF {print $2}' <<<"$text"
}
# shellcheck disable=SC2317  # of until_none
remove_endpoint_address() { ip address del "$TK_ENDPOINT/32" dev "$1"; }

# has_endpoint: whether this host has the address, or, where another control plane may hold the lease, reaches it.
has_endpoint() {
    local devices
    if has_vip && [ ! -e "$FOUNDING" ]; then
        unit_runs tailkube-endpoint.service && endpoint_ready
    else
        devices=$(endpoint_devices) || unanswered "which interface has $TK_ENDPOINT (ip -4 address show)" || return
        [ -n "$devices" ]
    fi
}

install_endpoint() {
    local where="does not appear on lo"
    keeps_endpoint || return 0
    if has_vip; then
        where="does not appear on a control plane"
        # An init that another run goes on with has no lease yet, either.
        if [ ! -e "$TK_STATE/joined" ]; then : >"$FOUNDING"; fi
    fi
    TK_READERS=tailkube-endpoint.service install_text "$TK_LIB/endpoint" 0755 "$TK_HOST_ENDPOINT" || true
    TK_READERS=tailkube-endpoint.service install_text "$TK_ETC/endpoint.env" 0644 "$(endpoint_settings)" || true
    TK_READERS=tailkube-endpoint.service install_text /etc/systemd/system/tailkube-endpoint.service 0644 "$(endpoint_unit)" || true
    unit_start tailkube-endpoint.service
    wait_for 60 "$TK_ENDPOINT $where (journalctl -u tailkube-endpoint)" has_endpoint
}

# A joiner that had the endpoint itself would talk to its own, closed port, and wait in silence.
withdraw_endpoint() {
    keeps_endpoint || return 0
    unit_stop tailkube-endpoint.service
    if has_vip; then rm -f "$FOUNDING"; fi
    # What a watch has left that was killed.
    until_none 30 "the endpoint's address cannot be removed (ip address del $TK_ENDPOINT/32)" "which interface has the endpoint's address (ip -4 address show to $TK_ENDPOINT/32)" endpoint_devices remove_endpoint_address
}
