# shellcheck shell=bash
# requires: lib/records/folders lib/software/packages lib/units
# The way out of Cilium's data path, on one host.

# The rules for the local table at preference $2, with their protocols.
local_rules() {
    local text
    text=$(ip -d "$1" rule show pref "$2") || return
    grep 'lookup local' <<<"$text" || true
}
ask_local_rules() { ask 30 "which rules for the local table this host has (ip -d $1 rule show pref $2)" local_rules "$1" "$2"; }

# restore_local_rule FAMILY: Cilium moves the kernel's rule for the local table from preference 0 to 100. It comes back as the
# kernel's: systemd-networkd removes every rule that neither the kernel nor it has made when it restarts.
restore_local_rule() {
    local family=$1
    # A host without IPv6 has no rules for it.
    [ "$1" = -4 ] || [ -e /proc/net/if_inet6 ] || return 0
    ask_local_rules "$1" 0
    if [[ $ANSWER != *"proto kernel"* ]]; then
        ask 30 "which policy rules this host has (ip $1 rule show)" ip "$1" rule show
        [ -n "$ANSWER" ] || return 0
        ip "$1" rule add pref 0 lookup local protocol kernel || true
        ask_local_rules "$1" 0
        [[ $ANSWER == *"proto kernel"* ]] ||
            fail "the kernel's rule for the local table cannot be put back at preference 0 ('ip $1 rule show'). The host stays reachable by the one at 100 until it is rebooted. Reboot it, then run again."
    fi
    # Not the kernel's: an earlier clean-up may have made it. The first of several is the one that goes.
    until_none 10 "a rule for the local table, which is not the kernel's, cannot be removed (ip $1 rule del)" \
        "which rules for the local table this host has (ip -d $1 rule show)" other_local_rules remove_local_rule
}

# Of restore_local_rule, whose family they know: "PREFERENCE: RULE" of what is in the kernel's place, or where Cilium puts it.
other_local_rules() {
    local text
    text=$(local_rules "$family" 0) || return
    [ "$(wc -l <<<"$text")" -lt 2 ] || [[ ${text%%$'\n'*} == *"proto kernel"* ]] || printf '%s\n' "${text%%$'\n'*}"
    text=$(local_rules "$family" 100) || return
    [ -z "$text" ] || printf '%s\n' "$text"
}
remove_local_rule() { ip "$family" rule del pref "${1%%:*}" lookup local; }

# What Cilium's agent runs, and where containerd has it: "IMAGE SNAPSHOTTER".
CILIUM_IMAGE=$TK_STATE/cilium-image

# remember_cilium_image: while the agent's container is there. A host needs no ipset of its own: Cilium brings it.
remember_cilium_image() {
    local id
    if command -v ipset >/dev/null || [ -s "$CILIUM_IMAGE" ] || ! unit_runs containerd.service; then return 0; fi
    # Anybody may run an image that is called cilium, but only administrators in kube-system.
    ask 60 "which container is Cilium's agent (ctr -n k8s.io containers ls)" timeout 30 ctr -n k8s.io containers ls -q \
        'labels."io.kubernetes.pod.namespace"==kube-system,labels."io.kubernetes.container.name"==cilium-agent'
    id=${ANSWER%%$'\n'*}
    if [ -n "$id" ]; then
        ask 60 "which image Cilium's agent has (ctr -n k8s.io containers info)" image_of "$id"
    else
        # The kubelet ends the agent some time after the Node is gone.
        ask 60 "which images containerd has (ctr -n k8s.io images ls)" official_cilium_image
    fi
    [ -z "$ANSWER" ] || record "$CILIUM_IMAGE" "$ANSWER"
}

# official_cilium_image: "IMAGE SNAPSHOTTER" of an image that only Cilium's own publisher can have given this name; nothing without one.
official_cilium_image() {
    local images
    images=$(timeout 30 ctr -n k8s.io images ls -q) || return
    grep -m 1 -E '^quay\.io/cilium/cilium(:v[0-9.]+)?(@sha256:[0-9a-f]{64})?$' <<<"$images" | sed 's/$/ overlayfs/'
    return 0
}

# image_of ID: a container's "IMAGE SNAPSHOTTER". ctr prints one field a line, and nothing that a pod chooses can break a line.
image_of() {
    timeout 30 ctr -n k8s.io containers info "$1" |
        awk -F '"' '/^    "Image": "/ {image = $4} /^    "Snapshotter": "/ {snapshotter = $4} END {if (image == "" || snapshotter == "") exit 1; print image, snapshotter}'
}

# without_set NAME TOOL...: whether there is no ipset of that name after it. A rule that has just been removed may still hold it. In
# SAID, what the tool says.
without_set() {
    local text
    SAID=$("${@:2}" destroy "$1" 2>&1) && return
    # A kernel without ipsets says that it knows none.
    ! text=$("${@:2}" list -n "$1" 2>&1) && [[ $text == *'does not exist'* || $text == *'session to kernel'* || $text == *'not supported'* ]]
}

# remove_ipsets: after the rules that name them. Without the tool on the host, by that of Cilium's image.
remove_ipsets() {
    local root=$TK_RUN/cilium-image image='' snapshotter='' tool=() name
    if command -v ipset >/dev/null; then
        tool=(ipset)
    elif [ -s "$CILIUM_IMAGE" ]; then
        read -r image snapshotter <"$CILIUM_IMAGE"
        mkdir -p "$root"
        # Of a run that was killed in here.
        timeout 60 ctr -n k8s.io images unmount --rm --snapshotter "$snapshotter" "$root" >/dev/null 2>&1 || true
        if timeout 120 ctr -n k8s.io images mount --snapshotter "$snapshotter" "$image" "$root" >/dev/null 2>&1; then
            tool=(timeout 20 chroot "$root" ipset)
        else
            changed "left the ipsets cilium_node_set_v4 and cilium_node_set_v6, which go with the next reboot: $image cannot be mounted"
        fi
    fi
    if [ ${#tool[@]} -gt 0 ]; then
        for name in cilium_node_set_v4 cilium_node_set_v6; do
            poll 30 without_set "$name" "${tool[@]}" || changed "left the ipset $name, which goes with the next reboot: ${SAID//$'\n'/ }"
        done
    fi
    if [ -n "$image" ]; then
        timeout 60 ctr -n k8s.io images unmount --rm --snapshotter "$snapshotter" "$root" >/dev/null 2>&1 || umount -l -- "$root" 2>/dev/null || true
        rmdir -- "$root" 2>/dev/null || true
        rm -f -- "$CILIUM_IMAGE"
    fi
}

host_links() {
    local all
    all=$(ip -o link show) || return
    awk -F': ' '{sub(/@.*/, "", $2); print $2}' <<<"$all"
}

# Those of Cilium's making. lxcbr0 and its like are LXC's.
cilium_links() {
    local all
    all=$(host_links) || return
    grep -xE 'lxc(_health|[0-9a-f]{12})|cilium_.*' <<<"$all" || true
}
remove_link() { ip link del "$1"; }

# What holds Cilium's programs on interfaces, from Linux 6.6 on: tc lists only older ones.
CILIUM_PINS=/sys/fs/bpf/cilium

# cilium_devices: the host's own devices with programs of Cilium's. The tc ones go with the clsact queue that Cilium made.
cilium_devices() {
    local all device way text
    command -v tc >/dev/null || return 0
    all=$(host_links) || return
    for device in $all; do
        for way in ingress egress; do
            text=$(tc filter show dev "$device" "$way" 2>&1) || {
                # It has gone, or has no queue, or the kernel has none.
                case $text in *'Cannot find'* | *'Parent Qdisc'* | *'not supported'*) continue ;; esac
                printf '%s\n' "$text" >&2
                return 1
            }
            [[ $text == *cil_* ]] || continue
            printf '%s\n' "$device"
            break
        done
    done
}
remove_programs() { tc qdisc del dev "$1" clsact; }

# saved_rules VARIANT: what iptables' VARIANT-save prints; nothing where the kernel has neither nf_tables nor IPv6.
saved_rules() {
    local text errors=$TK_RUN/saved-rules.errors
    text=$("$1-save" 2>"$errors") || {
        ! grep -qiE 'not supported|invalid argument|does not exist' "$errors" || return 0
        cat "$errors" >&2
        return 1
    }
    printf '%s\n' "$text"
}

# cluster_variants: the variants of iptables that have rules of the kubelet's or of Cilium's.
cluster_variants() {
    local family variant text
    for family in iptables ip6tables; do
        for variant in "$family-nft" "$family-legacy"; do
            command -v "$variant-save" >/dev/null || continue
            # Asking for the legacy tables would make them.
            [ "$variant" != "$family-legacy" ] || [ -s "/proc/net/${family%tables}_tables_names" ] || continue
            text=$(saved_rules "$variant") || return
            [[ ! $text =~ CILIUM_|KUBE- ]] || printf '%s\n' "$variant"
        done
    done
}
remove_rules() {
    local text
    text=$(saved_rules "$1") && [ -n "$text" ] || return
    { grep -vE 'CILIUM_|KUBE-' || true; } <<<"$text" | "$1-restore"
}

# cilium_rules: "FAMILY rule PREFERENCE: RULE" of those that lead to Cilium's routing tables, and "FAMILY route flush table TABLE"
# for each of these that has routes.
cilium_rules() {
    local family text table
    for family in -4 -6; do
        [ "$family" = -4 ] || [ -e /proc/net/if_inet6 ] || continue
        text=$(ip "$family" rule show) || return
        sed -nE "/lookup 200[45]( |$)/{s/\t/ /g; s/^/$family rule /; p}" <<<"$text"
        for table in 2004 2005; do
            text=$(ip "$family" route show table "$table" 2>&1) || {
                [[ $text != *'does not exist'* ]] || continue
                printf '%s\n' "$text" >&2
                return 1
            }
            [ -z "$text" ] || echo "$family route flush table $table"
        done
    done
}
remove_rule() {
    local family=${1%% *} rule=${1#* rule }
    # shellcheck disable=SC2086  # words of a command, of a rule
    if [ "$rule" = "$1" ]; then ip $1; else ip "$family" rule del pref "${rule%%:*}" ${rule#*:}; fi
}

# Cilium brings the plugin loopback where the host has none.
reset_plugins() {
    local before
    before=$(before_record /opt/cni/bin)
    if [ -e "$before" ]; then
        # The folder goes with the stage that made it.
        grep -qszxF loopback "$before" || rm -f /opt/cni/bin/loopback
        return 0
    fi
    # An earlier version of this program has made no record.
    ask 30 "which package /opt/cni/bin is of (dpkg-query -S)" package_of /opt/cni/bin
    [ -z "$ANSWER" ] || return 0
    rm -f /opt/cni/bin/loopback
    rmdir /opt/cni/bin /opt/cni 2>/dev/null || true
}

# Cilium has no uninstaller: its programs stay attached, its maps pinned, its rules and chains in place.
reset_cilium() {
    pkill -KILL -x cilium-agent 2>/dev/null || true
    # A pair goes with either of its ends.
    until_none 10 "Cilium's interface cannot be removed; reboot this host, then run again" "which interfaces this host has (ip -o link show)" cilium_links remove_link
    until_none 10 "Cilium's programs cannot be removed from this interface (tc qdisc del dev … clsact); reboot this host, then run again" \
        "which programs are on this host's interfaces (tc filter show)" cilium_devices remove_programs
    rm -rf /sys/fs/bpf/tc/globals/cilium_* "$CILIUM_PINS" /sys/fs/bpf/tc/globals/tunnel_* 2>/dev/null || true
    [ ! -e "$CILIUM_PINS" ] || fail "Cilium's programs stay on this host's interfaces, because $CILIUM_PINS cannot be removed; reboot this host, then run again"
    rmdir /sys/fs/bpf/tc/globals /sys/fs/bpf/tc /sys/fs/bpf/ip /sys/fs/bpf/xdp 2>/dev/null || true
    until_none 20 "the kubelet's and Cilium's rules cannot be removed by this program's -restore" "which rules iptables has (iptables-nft-save and its like)" cluster_variants remove_rules
    remove_ipsets
    # The kernel's own rule first: without any rule for the local table this host answers to nothing.
    restore_local_rule -4
    restore_local_rule -6
    until_none 10 "what leads to Cilium's routing tables cannot be removed" "which policy rules and routes are Cilium's (ip rule show, ip route show table 2004)" cilium_rules remove_rule
    rm -f /opt/cni/bin/cilium-cni /etc/sysctl.d/99-zzz-override_cilium.conf
    reset_plugins
    awk '$2 ~ "^/run/cilium/" {print $2}' /proc/mounts | tac | xargs -r -n 1 umount -l 2>/dev/null || true
    rm -rf --one-file-system /run/cilium /var/lib/cilium 2>/dev/null || true
}
