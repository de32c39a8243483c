# shellcheck shell=bash
# requires: lib/records/files lib/software/packages lib/units lib/waiting
# UDP GRO forwarding on the NICs of the default routes, with a unit that holds it.
# Given: TK_UDP_GRO (on; absent: off), and with it TK_HOST_UDP_GRO (text of host/installed/udp-gro.sh).

udp_gro_unit() {
    cat <<'EOT'
[Unit]
Description=UDP GRO forwarding on the NICs of the default routes
After=network.target

[Service]
ExecStart=/usr/local/lib/tailkube/udp-gro watch
ExecStopPost=/usr/local/lib/tailkube/udp-gro down
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
EOT
}

# Lines: what this host cannot have of it. It is a matter of speed, and no reason to fail.
UDP_GRO_MISSING=

# Also where an earlier run had the option.
set_udp_gro() {
    local unit=tailkube-udp-gro.service
    if [ "${TK_UDP_GRO:-}" != on ]; then
        remove_udp_gro
        return
    fi
    command -v ethtool >/dev/null || apt_install ethtool
    TK_READERS=$unit install_text "$TK_LIB/udp-gro" 0755 "$TK_HOST_UDP_GRO" || true
    TK_READERS=$unit install_text "/etc/systemd/system/$unit" 0644 "$(udp_gro_unit)" || true
    # shellcheck disable=SC2034  # of the stage's result
    UDP_GRO_MISSING=$("$TK_LIB/udp-gro" up) || UDP_GRO_MISSING="udp-gro up fails (journalctl -u tailkube-udp-gro)"
    unit_start "$unit"
}

# undo_udp_gro: a unit that stops does not say what it could not set back.
undo_udp_gro() {
    unit_stop tailkube-udp-gro.service
    retry 10 "the NICs' UDP GRO forwarding cannot be set back to what it was (ethtool -K). A reboot does it, too: reboot this host, and run again" "$TK_LIB/udp-gro" down
}

# The script goes last: as long as it is there, the next run finishes a killed one.
remove_udp_gro() {
    local unit=tailkube-udp-gro.service
    owned "$TK_LIB/udp-gro" tailnet && [ -e "$TK_LIB/udp-gro" ] || return 0
    undo_udp_gro
    mark_readers "/etc/systemd/system/$unit"
    rm -f -- "/etc/systemd/system/$unit"
    reload_units
    rm -f -- "$TK_LIB/udp-gro"
    changed "UDP GRO forwarding as it was"
}
