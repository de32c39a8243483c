# shellcheck shell=bash
# requires: lib/records/ownership lib/waiting
# Kernel settings, policy rules and nftables as they were before the first change, and how the cleanup puts them back.

# Kernel settings that we, the kubelet or Cilium change; setting ip_forward sets others, so it comes first.
REMEMBERED_SYSCTLS=(net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.ip_early_demux net.ipv4.conf.all.rp_filter
    net.ipv4.conf.default.rp_filter net.ipv4.conf.all.src_valid_mark net.ipv4.fib_multipath_use_neigh
    net.ipv4.ip_local_reserved_ports net.core.fb_tunnels_only_for_init_net net.core.bpf_jit_enable vm.overcommit_memory
    vm.panic_on_oom kernel.timer_migration kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
    fs.inotify.max_user_instances fs.inotify.max_user_watches)

# The reverse path filters of the interfaces that are there: installed/network.sh may loosen some.
interface_filters() {
    local path
    for path in /proc/sys/net/ipv4/conf/*/rp_filter; do
        case $path in */all/* | */default/* | */lxc_health/* | */lxc????????????/* | */cilium_* | */tailscale0/*) ;; *) printf '%s\n' "${path#/proc/sys/}" ;; esac
    done
}

# sysctl_setting KEY: "KEY=VALUE"; nothing if this kernel has none of that name. An interface's name may hold dots, so its keys are
# written with slashes.
sysctl_setting() {
    local value path=$1
    [[ $path == */* ]] || path=${path//./\/}
    [ -e "/proc/sys/$path" ] || return 0
    value=$(sysctl -n "$1") && printf '%s=%s\n' "$1" "$value"
}

# nft_lists WHAT: all tables, or all chains. A kernel may have none of it.
nft_lists() {
    local text
    text=$(nft list "$1" 2>&1) || {
        case $text in *'not supported'* | *'Invalid argument'*) return 0 ;; esac
        printf '%s\n' "$text" >&2
        return 1
    }
    printf '%s\n' "$text"
}

# nft_tables: "table FAMILY NAME" of each that is there; of iptables' alone where the host has no nft.
nft_tables() {
    local family text
    if command -v nft >/dev/null; then
        text=$(nft_lists tables) || return
        sed -n '/^table /p' <<<"$text"
        return
    fi
    for family in ip ip6; do
        command -v "${family}tables-nft-save" >/dev/null || continue
        [ "$family" = ip ] || [ -e /proc/net/if_inet6 ] || continue
        text=$("${family}tables-nft-save") || return
        sed -n "s/^\*/table $family /p" <<<"$text"
    done
}

# What files do not show, as it was before the first stage that changes anything: kernel settings, and the tables of
# iptables, which leaves its base chains behind, even empty. Each is what a clean-up goes by, so no answer is not recorded as "none".
remember_kernel() {
    local key text=''
    if [ ! -e "$TK_STATE/sysctls" ]; then
        for key in "${REMEMBERED_SYSCTLS[@]}" $(interface_filters); do
            ask 30 "which value $key has (sysctl -n $key)" sysctl_setting "$key"
            [ -z "$ANSWER" ] || text+=$ANSWER$'\n'
        done
        remember sysctls "${text%$'\n'}"
    fi
    if [ ! -e "$TK_STATE/ip-rules" ]; then
        # With their protocols: a network manager removes what neither it nor the kernel has made.
        ask_kernel_rules -4
        text=$ANSWER
        ask_kernel_rules -6
        remember ip-rules "$text${ANSWER:+$'\n'$ANSWER}"
    fi
    if [ ! -e "$TK_STATE/nft-tables" ]; then
        ask 30 "which tables nftables has (nft list tables)" nft_tables
        remember nft-tables "$ANSWER"
    fi
    if [ ! -e "$TK_STATE/nft-chains" ]; then
        ask 30 "which chains nftables has (nft list chains)" base_chains
        remember nft-chains "$ANSWER"
    fi
}

# base_chains: "FAMILY TABLE CHAIN" of each chain that iptables makes by itself when it is first asked for a table.
base_chains() {
    local all
    command -v nft >/dev/null || return 0
    all=$(nft_lists chains) || return
    awk '$1 == "table" {table = $2 " " $3} $1 == "chain" {print table, $2}' <<<"$all" |
        { grep -xE 'ip6? (filter|nat|mangle|raw|security) (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)' || true; }
}

# kernel_rules FAMILY: "FAMILY PREFERENCE: RULE" of each policy rule that is the kernel's own. A kernel without IPv6 has none of it.
kernel_rules() {
    local text
    [ "$1" = -4 ] || [ -e /proc/net/if_inet6 ] || return 0
    text=$(ip -d "$1" rule show) || return
    tr -s '\t ' ' ' <<<"$text" | sed -n "s/ proto kernel.*//; T; s/^/$1 /; p"
}

ask_kernel_rules() { ask 30 "which policy rules are the kernel's (ip -d $1 rule show)" kernel_rules "$1"; }

# is_kernel_rule FAMILY RULE: whether the kernel has it, by its own protocol.
is_kernel_rule() {
    ask_kernel_rules "$1"
    [[ $'\n'$ANSWER$'\n' == *$'\n'"$1 $2"$'\n'* ]]
}

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

# changed_sysctls: the remembered settings, KEY=VALUE, that the kernel has not got any more and lets us write: in a container some
# may not be written at all, and interfaces come and go.
changed_sysctls() {
    local setting key path value
    while IFS= read -r setting; do
        key=${setting%%=*}
        path=$key
        [[ $path == */* ]] || path=${path//./\/}
        [ -w "/proc/sys/$path" ] || continue
        value=$(sysctl -n "$key") || return
        [ "$value" = "${setting#*=}" ] || printf '%s\n' "$setting"
    done <"$TK_STATE/sysctls"
}
write_sysctl() { sysctl -qw "$1"; }

restore_sysctls() {
    [ -e "$TK_STATE/sysctls" ] || return 0
    until_none 10 "this setting of the kernel cannot be put back (sysctl -w)" "which of the kernel's settings are other ones than before (sysctl -n)" changed_sysctls write_sysctl
}

# is_empty LISTING: whether nft has listed no more than iptables makes by itself: its base chains, without a rule, which accept. A
# rule, another chain or a policy that drops is the user's.
is_empty() { ! grep -vE '^\s*(table|type .* policy accept;|chain (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) |}|$|#)' <<<"$1" >/dev/null; }

nft_delete() { nft "delete $1"; }

# own_table NAME: "table inet NAME" if this host has that table of the program's.
own_table() {
    local tables
    command -v nft >/dev/null || return 0
    tables=$(nft_tables) || return
    grep -xF "table inet $1" <<<"$tables" || true
}

# empty_tables: "table FAMILY NAME" of iptables' that were not there before and have nothing in them.
empty_tables() {
    local table tables text
    text=$(nft_tables) || return
    tables=$(sed -nE '/^table ip6? (filter|nat|mangle|raw|security)$/p' <<<"$text")
    while IFS= read -r table; do
        if [ -z "$table" ] || grep -qxF -- "$table" "$TK_STATE/nft-tables"; then continue; fi
        text=$(nft "list $table") || return
        ! is_empty "$text" || printf '%s\n' "$table"
    done <<<"$tables"
}

# empty_chains: "chain FAMILY TABLE CHAIN" of iptables' in the tables that stay, which were not there before and have nothing in
# them.
empty_chains() {
    local chain chains text
    chains=$(base_chains) || return
    while IFS= read -r chain; do
        if [ -z "$chain" ] || grep -qxF -- "$chain" "$TK_STATE/nft-chains"; then continue; fi
        text=$(nft "list chain $chain") || return
        # A chain without a hook has no policy, and is the user's.
        if [[ $text == *"policy accept;"* ]] && is_empty "$text"; then printf 'chain %s\n' "$chain"; fi
    done <<<"$chains"
}

# What Kubernetes, Cilium and Tailscale have left in tables that were not there before.
forget_tables() {
    command -v nft >/dev/null && [ -e "$TK_STATE/nft-tables" ] || return 0
    until_none 10 "nft cannot delete what iptables has left empty" "which tables nftables has (nft list tables), and what is in them" empty_tables nft_delete
    [ -e "$TK_STATE/nft-chains" ] || return 0
    until_none 10 "nft cannot delete what iptables has left empty" "which chains nftables has (nft list chains), and what is in them" empty_chains nft_delete
}
