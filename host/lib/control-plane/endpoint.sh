# shellcheck shell=bash
# requires: lib/records/files lib/units
# The API endpoint on this control plane's loopback and advertised, while its API server is ready. In a lan the endpoint is the
# user's own business.
# Given: TK_NODE_NETWORK, TK_ENDPOINT, TK_ENDPOINT_PORT, TK_HOST_ENDPOINT (text of host/installed/endpoint-watch.sh).

endpoint_unit() {
    cat <<'UNIT'
[Unit]
Description=Kubernetes API endpoint where a ready API server is
# Stopped before them, so that a reboot withdraws the endpoint while everything still works.
After=tailscaled.service tailkube-address.service containerd.service kubelet.service
Wants=tailscaled.service
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

endpoint_on_lo() { ip -o -4 address show dev lo to "$TK_ENDPOINT/32"; }
has_endpoint() {
    local said
    said=$(endpoint_on_lo) || unanswered "whether $TK_ENDPOINT is on lo (ip address show dev lo)" || return
    [ -n "$said" ]
}
take_off_lo() { ip address del "$TK_ENDPOINT/32" dev lo; }

install_endpoint() {
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    TK_READERS=tailkube-endpoint.service install_text "$TK_LIB/endpoint" 0755 "$TK_HOST_ENDPOINT" || true
    TK_READERS=tailkube-endpoint.service install_text "$TK_ETC/endpoint.env" 0644 "$(printf 'TAILKUBE_ENDPOINT=%s\nTAILKUBE_ENDPOINT_PORT=%s' "$TK_ENDPOINT" "$TK_ENDPOINT_PORT")" || true
    TK_READERS=tailkube-endpoint.service install_text /etc/systemd/system/tailkube-endpoint.service 0644 "$(endpoint_unit)" || true
    unit_start tailkube-endpoint.service
    wait_for 60 "$TK_ENDPOINT does not appear on lo (journalctl -u tailkube-endpoint)" has_endpoint
}

# A joiner that had the endpoint on its own loopback would talk to its own, closed port, and wait in silence.
withdraw_endpoint() {
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    unit_stop tailkube-endpoint.service
    until_none 30 "the endpoint cannot be taken off this host's interface lo (ip address del)" "whether $TK_ENDPOINT is on lo (ip address show dev lo)" endpoint_on_lo take_off_lo
}
