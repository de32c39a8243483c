#!/bin/bash
# Puts this host's network back when a stage or a clean-up has cut the host off. tailkube-guard.timer counts down while a
# stage changes the network; each new connection from the operator's machine starts the countdown again, and the last one ends
# it. A reboot in between starts it again, too, for the units are enabled.
#   guard save apply|remove [PID]   remembers the network as it is, and starts the countdown. PID: the stage's shell
#   guard begin                     forgets that an earlier stage's network was put back
#   guard alive                     a connection has come in: the countdown starts again. Prints `counting` or `restored`
#   guard confirm                   ends it. Prints `kept`, or `restored` if the network has been put back
#   guard back                      what the timer runs: ends the stage and puts the network back
set -uo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
state=/var/lib/tailkube/guard
units=/etc/systemd/system
# With a connection every 10 s, a host is back within a minute.
countdown=40
# Files of the stages tailnet and lan that change the network. A clean-up removes them for good.
files=(/etc/systemd/networkd.conf.d/50-tailkube.conf /etc/NetworkManager/conf.d/50-tailkube.conf /etc/sysctl.d/90-tailkube-forward.conf
    /etc/tailkube/node.env /usr/local/lib/tailkube/network "$units/tailkube-network.service")
sysctls=(net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.all.src_valid_mark)
timer=tailkube-guard.timer

# One of confirm and back at a time: whichever comes first decides.
lock() { mkdir -p "$state" && exec 7>"$state/lock" && flock 7; }

# refuse WHY: for the stage, which quotes it.
refuse() {
    echo "$*" >&2
    return 1
}

# answered COMMAND...: what it prints, once it exits with 0; 1 after three tries. No answer is not an empty one.
answered() {
    local text tries
    for tries in 1 2 3; do
        if text=$("$@" 2>/dev/null); then
            [ -z "$text" ] || printf '%s\n' "$text"
            return 0
        fi
        [ "$tries" = 3 ] || sleep 1
    done
    refuse "no answer to '$*'"
}

# runs UNIT: whether it runs: `yes` or `no`; 1 without an answer.
runs() {
    local unit_state
    unit_state=$(answered systemctl show --property=ActiveState --value -- "$1") || return
    [ -n "$unit_state" ] || refuse "systemd does not say whether $1 runs" || return
    case $unit_state in active | reloading) echo yes ;; *) echo no ;; esac
}

# lasting rules|routes|addresses: of such lines, those that the guard restores and removes. The endpoint's watch manages the
# endpoint's address. A clean-up removes tailkube's, Tailscale's and Cilium's entries and then its records: if the guard restored
# them, they would stay for good. Leaving them in place cuts no host off.
lasting() {
    local endpoint='' pods=''
    case $1 in
    addresses)
        read -r endpoint 2>/dev/null <"$state/endpoint"
        [ -n "$endpoint" ] || {
            cat
            return
        }
        awk -v endpoint="$endpoint/32" '$2 != endpoint'
        return
        ;;
    routes) read -r pods 2>/dev/null <"$state/pods" ;;
    esac
    if [ "$(cat "$state/mode" 2>/dev/null)" != remove ]; then
        cat
    elif [ "$1" = rules ]; then
        { grep -vE '^(5180|520[0-5]): .* lookup (main suppress_prefixlength [0-9]+|52)$|^52[1-7]0: from all (fwmark 0x80000/0xff0000 (lookup (main|default)|unreachable)|lookup 52)$' || true; }
    else
        awk -v pods="$pods" '
            function network(address, bits,    part) {
                split(address, part, ".")
                return int((((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4]) / 2 ^ (32 - bits))
            }
            BEGIN { split(pods, cidr, "/") }
            pods != "" && $1 ~ /^[0-9.]+(\/[0-9]+)?$/ {
                split($1, to, "/")
                if ((to[2] == "" ? 32 : to[2]) + 0 >= cidr[2] + 0 && network(to[1], cidr[2]) == network(cidr[1], cidr[2])) next
            }
            { print }'
    fi
}

addresses() {
    local all
    all=$(answered ip -4 -o address show scope global) || return
    awk '{print $2, $4}' <<<"$all" | { grep -vE '^(tailscale0|cilium_|lxc(_health|[0-9a-f]{12}) |$)' || true; }
}
# What Tailscale and Cilium make they keep by themselves. lxcbr0 and its like are LXC's.
routes() {
    local all
    all=$(answered ip -4 route show table main) || return
    { grep -vE ' dev (tailscale0|cilium_|lxc(_health|[0-9a-f]{12})( |$))|^$' || true; } <<<"$all" | sed -E 's/ +$//; s/ linkdown//'
}
rules() {
    local all
    # A kernel without IPv6 has no answer.
    [ "$1" = -4 ] || [ -e /proc/net/if_inet6 ] || return 0
    all=$(answered ip "$1" rule show) || return
    tr -s '\t ' ' ' <<<"$all" | sed -E 's/ +$//' | { grep -vE 'lookup 200[45]( |$)|^$' || true; }
}
# settings: the kernel's settings, as sysctl takes them.
settings() {
    local name value
    for name in "${sysctls[@]}"; do
        value=$(answered sysctl -n "$name") || return
        [ -n "$value" ] || refuse "the kernel says no value of $name" || return
        echo "$name=$value"
    done
}
# save_tailscale MODE: what Tailscale did before. Only a stage changes it, so that a clean-up does without an answer.
save_tailscale() {
    local prefs='' tailscaled
    tailscaled=$(runs tailscaled.service) || {
        [ "$1" = remove ]
        return
    }
    if [ "$tailscaled" = yes ]; then
        prefs=$(answered timeout 10 tailscale debug prefs) || {
            [ "$1" = remove ]
            return
        }
    fi
    if [[ $prefs != *'"WantRunning": true'* ]]; then
        : >"$state/tailscale-down"
    elif [[ $prefs != *'"RouteAll": true'* ]]; then
        : >"$state/tailscale-no-routes"
    fi
}

unit_texts() {
    cat >"$units/tailkube-guard.service" <<END || return
[Unit]
Description=Put the network back after a stage of tailkube has cut this host off

[Service]
Type=oneshot
ExecStart=/bin/bash $state/guard back
END
    cat >"$units/$timer" <<END
[Unit]
Description=Countdown of tailkube's guard of the network

[Timer]
OnActiveSec=$countdown
AccuracySec=1s

[Install]
WantedBy=timers.target
END
}

remove_units() {
    systemctl disable --quiet --now "$timer" 2>/dev/null
    rm -f "$units/$timer" "$units/tailkube-guard.service"
    systemctl daemon-reload
}

save() {
    local file unit
    # The network as it was before a stage that has not been confirmed is still the one to go back to.
    if [ ! -e "$state/saved" ]; then
        rm -rf "$state/files" "$state/restored"
        mkdir -p "$state/files" || return
        for file in "${files[@]}"; do
            [ ! -e "$file" ] || { mkdir -p "$state/files$(dirname "$file")" && cp -a -- "$file" "$state/files$file"; } || return
        done
        # Going back takes away what is not in these, so each of them has to be an answer.
        settings >"$state/sysctls" || return
        addresses >"$state/addresses" || return
        routes >"$state/routes" || return
        rules -4 >"$state/rules-4" || return
        rules -6 >"$state/rules-6" || return
        [ -s "$state/rules-4" ] || refuse "'ip -4 rule show' shows no rule" || return
        unit=$(runs tailkube-network.service) || return
        [ "$unit" = no ] || : >"$state/network-active"
        save_tailscale "$1" || return
        sync -f "$state" && : >"$state/saved"
    fi
    # For `lasting`; the clean-up removes the file.
    if [ -e /etc/tailkube/node.env ]; then
        sed -n 's/^TAILKUBE_ENDPOINT=//p' /etc/tailkube/node.env >"$state/endpoint" &&
            sed -n 's/^TAILKUBE_POD_CIDR=//p' /etc/tailkube/node.env >"$state/pods" || return
    fi
    echo "$1" >"$state/mode" && echo "${2:-}" >"$state/process" && unit_texts && sync -f "$state" || return
    systemctl daemon-reload || refuse "'systemctl daemon-reload' failed" || return
    systemctl enable --quiet "$timer" || refuse "$timer cannot be enabled" || return
    systemctl restart "$timer" || refuse "$timer cannot be started"
}

# The stage and what it has started: `timeout` made them a process group of their own.
end_stage() {
    local process group seconds
    [ -s "$state/process" ] && read -r process <"$state/process" && [ -n "$process" ] || return 0
    # A process of that number that is no stage's shell has come later.
    grep -qsx bash "/proc/$process/comm" && grep -qsz -- -s "/proc/$process/cmdline" || return 0
    group=$(ps -o pgid= -p "$process" | tr -d ' ')
    [ -n "$group" ] || return 0
    kill -TERM -- "-$group" 2>/dev/null
    for seconds in 1 2 3; do
        kill -0 -- "-$group" 2>/dev/null || return 0
        sleep 1
    done
    kill -KILL -- "-$group" 2>/dev/null
    echo "the stage had to be killed after $seconds s"
}

restore_files() {
    local file changed=
    for file in "${files[@]}"; do
        if [ -e "$state/files$file" ]; then
            cmp -s -- "$state/files$file" "$file" || { cp -a -- "$state/files$file" "$file" && changed+=" $file"; }
        elif [ -e "$file" ]; then
            rm -f -- "$file" && changed+=" $file"
        fi
    done
    [ -z "$changed" ] || echo "put back:$changed"
}

restart_managers() {
    systemctl daemon-reload
    # Neither starts what does not run.
    systemctl try-restart systemd-networkd.service NetworkManager.service 2>/dev/null
}

# Lines of $1 that are not in $2.
missing() { [ -z "$1" ] || grep -vxF -f <(printf '%s\n' "$2") <<<"$1"; }

# Missing ones come back before others go. Rules for the local and main tables stay: without them there is no network.
restore_rules() {
    local rule protocol saved
    saved=$(lasting rules <"$state/rules${1}")
    [ -n "$saved" ] || return 0
    while IFS= read -r rule; do
        # networkd removes the kernel's when they are not the kernel's. Cilium's copy of the first stands at 100.
        case $rule in
        0:* | 32766:* | 32767:*) protocol="protocol kernel" ;;
        "100: from all lookup local") if [[ $(ip "$1" rule show pref 0) == *"lookup local"* ]]; then continue; else protocol=''; fi ;;
        *) protocol='' ;;
        esac
        # shellcheck disable=SC2086  # words of a rule
        [ -z "$rule" ] || ip "$1" rule add pref "${rule%%:*}" ${rule#*:} $protocol && echo "rule put back: $rule"
    done < <(missing "$saved" "$(rules "$1" | lasting rules)")
    while IFS= read -r rule; do
        # shellcheck disable=SC2086  # words of a rule
        [ -z "$rule" ] || ip "$1" rule del pref "${rule%%:*}" ${rule#*:} && echo "rule removed: $rule"
    done < <(missing "$(rules "$1" | lasting rules)" "$saved" | grep -vE '^(0|100|32766|32767): from all lookup (local|main|default)$')
}

restore_network() {
    local device address route
    while read -r device address; do
        [ -z "$device" ] || ip address add "$address" dev "$device" && echo "address put back: $address on $device"
    done < <(missing "$(lasting addresses <"$state/addresses")" "$(addresses)")
    while IFS= read -r route; do
        # shellcheck disable=SC2086  # words of a route
        [ -z "$route" ] || ip -4 route del $route && echo "route removed: $route"
    done < <(missing "$(routes | lasting routes)" "$(cat "$state/routes")")
    # Those of an interface first: a gateway has to be on one of them.
    while IFS= read -r route; do
        # shellcheck disable=SC2086  # words of a route
        [ -z "$route" ] || ip -4 route add $route && echo "route put back: $route"
    done < <(missing "$(lasting routes <"$state/routes")" "$(routes)" | awk '/ via / {later = later $0 "\n"; next} {print} END {printf "%s", later}')
    restore_rules -4
    restore_rules -6
}

# managers_done: the managers have the addresses that were there. They take some seconds after a restart.
managers_done() { [ -z "$(missing "$(lasting addresses <"$state/addresses")" "$(addresses)")" ]; }

back() {
    local setting
    lock
    [ -e "$state/saved" ] || exit 0
    echo "no connection has come in for $countdown s: putting the network back as it was before the stage"
    end_stage
    nft delete table inet tailkube 2>/dev/null
    if [ "$(cat "$state/mode")" = apply ]; then
        systemctl stop tailkube-network.service 2>/dev/null
        if [ -e "$state/tailscale-down" ]; then
            timeout 10 tailscale down 2>/dev/null || systemctl stop tailscaled.service 2>/dev/null
        elif [ -e "$state/tailscale-no-routes" ]; then
            timeout 10 tailscale set --accept-routes=false || systemctl stop tailscaled.service
        fi
        restore_files
        while IFS= read -r setting; do
            # An earlier version saved an empty value when sysctl did not answer.
            [ -z "${setting#*=}" ] || sysctl -qw "$setting" 2>/dev/null
        done <"$state/sysctls"
    fi
    # At once, and again when the managers, which restart with their former settings, have had their say.
    restore_network
    restart_managers
    for setting in 1 2 3 4 5 6 7 8; do
        if managers_done; then break; fi
        sleep 1
    done
    restore_network
    if [ "$(cat "$state/mode")" = apply ] && [ -e "$state/network-active" ]; then systemctl start tailkube-network.service; fi
    : >"$state/restored"
    rm -f "$state/saved"
    remove_units
    echo "done"
}

alive() {
    if [ -e "$state/restored" ]; then
        echo restored
        return
    fi
    [ ! -e "$state/saved" ] || systemctl restart "$timer"
    echo counting
}

confirm() {
    lock
    # Said until the next stage begins: the answer may get lost.
    if [ -e "$state/restored" ]; then
        echo restored
        return
    fi
    # A stage that has lost its connection goes on, and nothing would undo what it changes from here on.
    end_stage >&2
    echo kept
    remove_units
    rm -rf "$state"
    rmdir /var/lib/tailkube 2>/dev/null
    return 0
}

case ${1:-} in
save) lock && save "${2:-apply}" "${3:-}" ;;
begin) rm -f "$state/restored" && alive ;;
alive) alive ;;
confirm | back) "$1" ;;
*)
    echo "usage: guard save apply|remove [PID] | begin | alive | confirm | back" >&2
    exit 2
    ;;
esac
