# shellcheck shell=bash
# Stage endpoint: the API endpoint on this control plane's loopback, for good, and advertised.
# Given: TK_ENDPOINT, TK_HOST_ENDPOINT (text of scripts/host/endpoint.sh).

endpoint_unit() {
    cat <<'EOF'
[Unit]
Description=Kubernetes API endpoint on the loopback, advertised to the tailnet
After=tailscaled.service tailkube-address.service
Wants=tailscaled.service
# It tries until tailscaled answers.
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/tailkube/endpoint up
ExecStop=/usr/local/lib/tailkube/endpoint down
# tailscaled may still be starting; nothing else waits for this unit.
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
EOF
}

has_endpoint() { ip -o -4 address show dev lo to "$TK_ENDPOINT/32" | grep -q .; }

apply() {
    local restart=
    if install_text "$TK_LIB/endpoint" 0755 "$TK_HOST_ENDPOINT"; then restart=restart; fi
    if install_text "$TK_ETC/endpoint.env" 0644 "TAILKUBE_ENDPOINT=$TK_ENDPOINT"; then restart=restart; fi
    if install_text /etc/systemd/system/tailkube-endpoint.service 0644 "$(endpoint_unit)"; then
        systemctl daemon-reload
        restart=restart
    fi
    unit_start tailkube-endpoint.service $restart
    wait_for 15 "$TK_ENDPOINT does not appear on lo (systemctl status tailkube-endpoint)" has_endpoint
    result
}

remove() {
    unit_stop tailkube-endpoint.service
    undo_files
    systemctl daemon-reload
    result
}
