# shellcheck shell=bash
# What the stages tailnet and lan share: the host's network managers, the kernel's settings as they were, and the unit that
# waits for the node IP.
# Given: TK_POD_CIDR, TK_POD_ROUTING, TK_ENDPOINT (in a tailnet: an IPv4 address), TK_HOST_GUARD (text of scripts/host/guard.sh).

# guard_network apply|remove: from here on this host puts its network back by itself unless the operator's machine reaches it
# again from outside and says so (host/guard.sh, operator/ssh.sh).
guard_network() {
    [ -n "${TK_HOST_GUARD:-}" ] || return 0
    { mkdir -p "$TK_STATE/guard" && printf '%s\n' "$TK_HOST_GUARD" >"$TK_STATE/guard/guard" && bash "$TK_STATE/guard/guard" save "$1" $$; } ||
        fail "the guard that would put this host's network back cannot be started, so nothing was changed. See 'systemctl status tailkube-guard.timer' on the host."
}

# systemd-networkd removes rules and routes that it did not make when it restarts, Tailscale's and Cilium's among them;
# NetworkManager would take over the interfaces of both.
calm_network_managers() {
    if systemctl is-active --quiet systemd-networkd; then
        if install_text /etc/systemd/networkd.conf.d/50-tailkube.conf 0644 $'[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no'; then
            systemctl restart systemd-networkd && changed "restarted systemd-networkd"
        fi
    fi
    if systemctl is-active --quiet NetworkManager; then
        if install_text /etc/NetworkManager/conf.d/50-tailkube.conf 0644 $'[keyfile]\nunmanaged-devices+=interface-name:tailscale0;interface-name:cilium_*;interface-name:lxc*'; then
            systemctl reload NetworkManager && changed "reloaded NetworkManager"
        fi
    fi
}

# address_unit UNIT: the unit that waits for the node IP, which comes with UNIT.
address_unit() {
    cat <<EOF
[Unit]
Description=Wait until this node's declared address can be bound
After=$1
Wants=$1

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
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

# Kernel settings that we, the kubelet or Cilium change; setting ip_forward sets others, so it comes first.
REMEMBERED_SYSCTLS=(net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.ip_early_demux net.ipv4.conf.all.rp_filter
    net.ipv4.conf.default.rp_filter net.ipv4.conf.all.src_valid_mark net.ipv4.fib_multipath_use_neigh
    net.ipv4.ip_local_reserved_ports net.core.fb_tunnels_only_for_init_net net.core.bpf_jit_enable vm.overcommit_memory
    vm.panic_on_oom kernel.timer_migration kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
    fs.inotify.max_user_instances fs.inotify.max_user_watches)

# The reverse path filters of the interfaces that are there: host/network.sh may loosen some.
interface_filters() {
    local path
    for path in /proc/sys/net/ipv4/conf/*/rp_filter; do
        case $path in */all/* | */default/* | */lxc* | */cilium_* | */tailscale0/*) ;; *) printf '%s\n' "${path#/proc/sys/}" ;; esac
    done
}

# What files do not show, as it was before the first stage that changes anything: kernel settings, and the tables of
# iptables, which leaves its base chains behind, even empty.
remember_kernel() {
    local key value chains
    if [ ! -e "$TK_STATE/sysctls" ]; then
        own "$TK_STATE/sysctls"
        # An interface's name may hold dots, so its keys are written with slashes.
        for key in "${REMEMBERED_SYSCTLS[@]}" $(interface_filters); do
            if value=$(sysctl -n "$key" 2>/dev/null); then printf '%s=%s\n' "$key" "$value"; fi
        done >"$TK_STATE/sysctls.new"
        mv "$TK_STATE/sysctls.new" "$TK_STATE/sysctls"
    fi
    if [ ! -e "$TK_STATE/ip-rules" ]; then
        own "$TK_STATE/ip-rules"
        # With their protocols: a network manager removes what neither it nor the kernel has made.
        record "$TK_STATE/ip-rules" "$(kernel_rules -4; kernel_rules -6)"
    fi
    if [ ! -e "$TK_STATE/nft-tables" ]; then
        own "$TK_STATE/nft-tables"
        nft list tables >"$TK_STATE/nft-tables" 2>/dev/null || true
    fi
    # Without an answer none is recorded, and none is removed later.
    if [ ! -e "$TK_STATE/nft-chains" ] && chains=$(base_chains); then
        own "$TK_STATE/nft-chains"
        record "$TK_STATE/nft-chains" "$chains"
    fi
}

# base_chains: "FAMILY TABLE CHAIN" of each chain that iptables makes by itself when it is first asked for a table.
base_chains() {
    local all
    all=$(nft list chains 2>/dev/null) || return
    awk '$1 == "table" {table = $2 " " $3} $1 == "chain" {print table, $2}' <<<"$all" |
        { grep -xE 'ip6? (filter|nat|mangle|raw|security) (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)' || true; }
}

# kernel_rules FAMILY: "FAMILY PREFERENCE: RULE" of each policy rule that is the kernel's own.
kernel_rules() { { ip -d "$1" rule show 2>/dev/null | tr -s '\t ' ' ' | sed -n "s/ proto kernel.*//; T; s/^/$1 /; p"; } || true; }

is_kernel_rule() { [[ $'\n'$(kernel_rules "$1")$'\n' == *$'\n'"$1 $2"$'\n'* ]]; }

# The kernel's rules that were there before come back as the kernel's, whatever took them away.
restore_kernel_rules() {
    local family rule missing=
    [ -e "$TK_STATE/ip-rules" ] || return 0
    while read -r family rule; do
        [ -n "$rule" ] || continue
        is_kernel_rule "$family" "$rule" && continue
        # shellcheck disable=SC2086  # words of a rule
        ip "$family" rule add pref "${rule%%:*}" ${rule#*:} protocol kernel || true
        is_kernel_rule "$family" "$rule" || missing="$family rule $rule"
    done <"$TK_STATE/ip-rules"
    [ -z "$missing" ] || fail "the kernel's policy rule '$missing' cannot be put back (see 'ip ${missing%% rule*} rule show'). Reboot the host, then run again."
}

restore_sysctls() {
    local setting
    [ -e "$TK_STATE/sysctls" ] || return 0
    while IFS= read -r setting; do
        # Only what differs: in a container some may not be written at all.
        [ "$(sysctl -n "${setting%%=*}")" = "${setting#*=}" ] || sysctl -qw "$setting" 2>/dev/null || true
    done <"$TK_STATE/sysctls"
}

forget_tables() {
    local table rules
    command -v nft >/dev/null && [ -e "$TK_STATE/nft-tables" ] || return 0
    while IFS= read -r table; do
        grep -qxF -- "$table" "$TK_STATE/nft-tables" && continue
        # A rule or a chain of somebody's own keeps the table.
        rules=$(nft "list $table" 2>/dev/null | grep -vE '^\s*(table|type|chain (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) |}|$|#)' || true)
        [ -n "$rules" ] || nft "delete $table" 2>/dev/null || true
    done < <(nft list tables | grep -E '^table ip6? (filter|nat|mangle|raw|security)$')
    forget_chains
}

# forget_chains: in the tables that stay, the empty chains of iptables that were not there before. One that drops is a filter.
forget_chains() {
    local chain text
    [ -e "$TK_STATE/nft-chains" ] || return 0
    while IFS= read -r chain; do
        if [ -z "$chain" ] || grep -qxF -- "$chain" "$TK_STATE/nft-chains"; then continue; fi
        text=$(nft "list chain $chain" 2>/dev/null) || continue
        if [[ $text == *"policy accept;"* ]] && ! grep -qvE '^\s*(table .*|chain .*|type .* policy accept;|}|#.*)?$' <<<"$text"; then
            nft "delete chain $chain" 2>/dev/null || true
        fi
    done < <(base_chains)
}

# undo_network: what of this file's a stage has done, and with it all files of the stage. What reads the files again does so
# before their records go: a run that is killed in here is done again whole.
undo_network() {
    forget_tables
    restore_sysctls
    restore_kernel_rules
    restore_files
    systemctl daemon-reload
    ! owned /etc/systemd/networkd.conf.d/50-tailkube.conf || systemctl try-restart systemd-networkd
    ! systemctl is-active --quiet NetworkManager || systemctl reload NetworkManager || true
    forget_files
}
