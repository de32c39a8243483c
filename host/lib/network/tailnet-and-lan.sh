# shellcheck shell=bash
# requires: lib/records/files lib/records/kernel-state lib/units lib/software/proxy
# What the stages tailnet and lan share: the guard, the host's network managers, and the unit that waits for the node IP.
# Given: TK_POD_CIDR, TK_POD_ROUTING, TK_ENDPOINT (an IPv4 address that the program keeps), TK_HOST_GUARD (text of host/installed/guard.sh).

# guard_network apply|remove: from here on this host puts its network back by itself unless the operator's machine reaches it
# again from outside and says so (installed/guard.sh, operator/ssh.sh).
guard_network() {
    [ -n "${TK_HOST_GUARD:-}" ] || return 0
    { mkdir -p "$TK_STATE/guard" && printf '%s\n' "$TK_HOST_GUARD" >"$TK_STATE/guard/guard" && bash "$TK_STATE/guard/guard" save "$1" $$; } 2>"$TK_RUN/guard.log" ||
        fail "the guard that would put this host's network back cannot be started, so nothing was changed: $(log_tail "$TK_RUN/guard.log" 3). See 'systemctl status tailkube-guard.timer' on the host."
    rm -f "$TK_RUN/guard.log"
}

# systemd-networkd removes rules and routes that it did not make when it restarts, Tailscale's and Cilium's among them;
# NetworkManager would take over the interfaces of both. Cilium's are lxc and twelve hexadecimal digits; lxcbr0 is LXC's.
calm_network_managers() {
    if unit_runs systemd-networkd.service; then
        TK_READERS=systemd-networkd.service install_text /etc/systemd/networkd.conf.d/50-tailkube.conf 0644 $'[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no' || true
        read_again systemd-networkd.service restart
    fi
    if unit_runs NetworkManager.service; then
        TK_READERS=NetworkManager.service install_text /etc/NetworkManager/conf.d/50-tailkube.conf 0644 $'[keyfile]\nunmanaged-devices+=interface-name:tailscale0;interface-name:cilium_*;interface-name:lxc_health;interface-name:lxc????????????' || true
        # By a reload NetworkManager takes down an interface that it has managed so far. A restart leaves all as they are, but
        # Wi-Fi's away for seconds.
        read_again NetworkManager.service "$(if [ -e /sys/class/net/tailscale0 ]; then echo restart; else echo reload; fi)"
    fi
}

# address_unit UNIT: the unit that waits for the node IP, which comes with UNIT. A boot waits for it no longer than a minute, for the
# address may never come: the device was deleted in the tailnet, a clean-up was killed. Then the kubelet's start fails; the wait goes
# on beside the boot, and its end starts the kubelet (installed/wait-address.sh).
address_unit() {
    cat <<EOF
[Unit]
Description=Wait until this node's declared address can be bound
After=$1
Wants=$1
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
Restart=on-failure
RestartSec=2
ExecStart=/usr/local/lib/tailkube/wait-address

[Install]
WantedBy=multi-user.target
EOF
}

# install_node_env ADDRESS: what the units on this host know of the node. Returns 0 if it changed, 1 if not.
install_node_env() {
    install_text "$TK_ETC/node.env" 0644 "$(
        printf 'TAILKUBE_ADDRESS=%s\nTAILKUBE_POD_CIDR=%s\nTAILKUBE_POD_ROUTING=%s' "$1" "$TK_POD_CIDR" "$TK_POD_ROUTING"
        [ -z "${TK_ENDPOINT:-}" ] || printf '\nTAILKUBE_ENDPOINT=%s' "$TK_ENDPOINT"
    )"
}

# clean_up_network: what of this file's a stage has done, and with it all files of the stage. What reads the files again does so
# before their records go: a run that is killed in here is done again whole.
clean_up_network() {
    forget_tables
    restore_sysctls
    restore_kernel_rules
    restore_files
    daemon_reload
    if owned /etc/systemd/networkd.conf.d/50-tailkube.conf; then
        restart_running systemd-networkd.service "the settings that were taken away"
    fi
    # By a reload it would manage tailscale0 from now on, and take the address of the user's own login from it.
    if owned /etc/NetworkManager/conf.d/50-tailkube.conf; then
        restart_running NetworkManager.service "the settings that were taken away"
    fi
    # Its process has the proxy until it is restarted.
    if owned "$(proxy_dropin tailscaled.service)"; then
        restart_running tailscaled.service "the proxy that was taken away"
    fi
    forget_files
}
