# shellcheck shell=bash
# requires: lib/software/package-repositories lib/units
# tailscaled on a host: installing it, and whether its address is up.
# Given: TK_BUNDLE, TK_TAILSCALE_VERSION (empty: the newest or the installed one), TK_POD_ROUTING,
# TK_PROXY_OPEN (TK_PROXY without the password), and what proxy.sh needs.

tailnet_address() { tailscale ip -4 | grep -m 1 .; }
tailnet_address_is_up() {
    local a
    # Also of an interface that somebody has taken down, for which the address stays.
    a=$(tailnet_address) && [ -n "$a" ] && ip -o -4 address show up to "$a/32" | grep -q .
}

tailscaled_unit() {
    cat <<'EOF'
[Unit]
Description=Tailscale node agent
Documentation=https://tailscale.com/kb/
Wants=network-pre.target
After=network-pre.target systemd-resolved.service NetworkManager.service systemd-networkd.service

[Service]
Type=notify
ExecStart=/usr/local/sbin/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --port=41641
ExecStopPost=/usr/local/sbin/tailscaled --cleanup
Restart=on-failure
RuntimeDirectory=tailscale
RuntimeDirectoryMode=0755
StateDirectory=tailscale
StateDirectoryMode=0700

[Install]
WantedBy=multi-user.target
EOF
}

# VXLAN over Tailscale corrupts packets on kernels up to 6.8.4 unless this is off (tailscale/tailscale#11026).
disable_udp_gro() {
    TK_READERS=tailscaled.service install_text /etc/systemd/system/tailscaled.service.d/50-tailkube.conf 0644 $'[Service]\nEnvironment=TS_TUN_DISABLE_UDP_GRO=true' || true
}

install_tailscale() {
    [ "$TK_POD_ROUTING" != vxlan ] || disable_udp_gro
    # tailscaled writes the proxy's URL to its log, and sends that to Tailscale.
    install_proxy tailscaled.service "${TK_PROXY_OPEN:-}"
    if [ -n "$TK_BUNDLE" ]; then
        if command -v tailscaled >/dev/null && ! grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
            unit_start tailscaled.service
            return
        fi
        TK_READERS=tailscaled.service install_binary "$TK_BUNDLE/bin/tailscaled" /usr/local/sbin/tailscaled || true
        install_binary "$TK_BUNDLE/bin/tailscale" /usr/local/bin/tailscale || true
        TK_READERS=tailscaled.service install_text /etc/systemd/system/tailscaled.service 0644 "$(tailscaled_unit)" || true
        unit_start tailscaled.service
        return
    fi
    if ! command -v tailscaled >/dev/null || [ -n "$TK_TAILSCALE_VERSION" ]; then
        local base=${TK_PACKAGES_TAILSCALE:-https://pkgs.tailscale.com} key=/usr/share/keyrings/tailscale-archive-keyring.gpg id suite
        id=$(distribution)
        suite=$(codename)
        # As tailscale.com/download/linux has it.
        apt_repository tailscale "$key" "${TK_PACKAGES_TAILSCALE_KEY:-$base/stable/$id/$suite.noarmor.gpg}" \
            "deb [signed-by=$key] $base/stable/$id $suite main"
        if [ -z "$TK_TAILSCALE_VERSION" ]; then apt_install tailscale; else apt_install_version tailscale "$TK_TAILSCALE_VERSION"; fi
    fi
    unit_start tailscaled.service
}
