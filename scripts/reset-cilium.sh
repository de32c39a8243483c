# shellcheck shell=bash
# The way out of Cilium's data path, on one host.

# The rules for the local table at preference $2, with their protocols.
local_rules() { ip -d "$1" rule show pref "$2" 2>/dev/null | grep 'lookup local' || true; }

# restore_local_rule FAMILY: Cilium moves the kernel's rule for the local table from preference 0 to 100. It comes back as the
# kernel's: systemd-networkd removes every rule that neither the kernel nor it has made when it restarts.
restore_local_rule() {
    if [[ $(local_rules "$1" 0) != *"proto kernel"* ]]; then
        # A host without IPv6 has no rules for it.
        [ -n "$(ip "$1" rule show 2>/dev/null)" ] || return 0
        ip "$1" rule add pref 0 lookup local protocol kernel || true
        [[ $(local_rules "$1" 0) == *"proto kernel"* ]] ||
            fail "the kernel's rule for the local table cannot be put back at preference 0 ('ip $1 rule show'). The host stays reachable by the one at 100 until it is rebooted. Reboot it, then run again."
    fi
    # Not the kernel's: an earlier clean-up may have made it. The first of several is the one that goes.
    while [ "$(local_rules "$1" 0 | wc -l)" -gt 1 ] && [[ $(local_rules "$1" 0 | head -n 1) != *"proto kernel"* ]]; do
        ip "$1" rule del pref 0 lookup local || break
    done
    while [ -n "$(local_rules "$1" 100)" ]; do ip "$1" rule del pref 100 lookup local || break; done
}

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
    [ -n "$id" ] || return 0
    ask 60 "which image Cilium's agent has (ctr -n k8s.io containers info)" image_of "$id"
    record "$CILIUM_IMAGE" "$ANSWER"
}

# image_of ID: a container's "IMAGE SNAPSHOTTER". ctr prints one field a line, and nothing that a pod chooses can break a line.
image_of() {
    timeout 30 ctr -n k8s.io containers info "$1" |
        awk -F '"' '/^    "Image": "/ {image = $4} /^    "Snapshotter": "/ {snapshotter = $4} END {if (image == "" || snapshotter == "") exit 1; print image, snapshotter}'
}

# without_set NAME TOOL...: whether there is no ipset of that name after it. A rule that has just been removed may still hold it.
without_set() { "${@:2}" destroy "$1" || ! "${@:2}" list -n "$1"; }

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
            poll 5 without_set "$name" "${tool[@]}" || changed "left the ipset $name, which something uses"
        done
    fi
    if [ -n "$image" ]; then
        timeout 60 ctr -n k8s.io images unmount --rm --snapshotter "$snapshotter" "$root" >/dev/null 2>&1 || umount -l -- "$root" 2>/dev/null || true
        rmdir -- "$root" 2>/dev/null || true
        rm -f -- "$CILIUM_IMAGE"
    fi
}

# Those of Cilium's making. lxcbr0 and its like are LXC's.
cilium_links() { ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | grep -xE 'lxc(_health|[0-9a-f]{12})|cilium_.*' || true; }

# Cilium brings the plugin loopback where the host has none.
reset_plugins() {
    local before
    before=$(before_record /opt/cni/bin)
    if [ -e "$before" ]; then
        # The folder goes with the stage that made it.
        grep -qszxF loopback "$before" || rm -f /opt/cni/bin/loopback
    elif ! dpkg -S /opt/cni/bin >/dev/null 2>&1; then
        # An earlier version of this program has made no record.
        rm -f /opt/cni/bin/loopback
        rmdir /opt/cni/bin /opt/cni 2>/dev/null || true
    fi
}

# Cilium has no uninstaller: its programs stay attached, its maps pinned, its rules and chains in place.
reset_cilium() {
    local link device side filters family variant rules rule
    pkill -KILL -x cilium-agent 2>/dev/null || true
    for _ in 1 2 3; do
        # A pair goes with either of its ends.
        for link in $(cilium_links); do ip link del "$link" 2>/dev/null || true; done
        [ -n "$(cilium_links)" ] || break
        sleep 1
    done
    [ -z "$(cilium_links)" ] || fail "Cilium's interface $(cilium_links | head -n 1) cannot be removed; reboot this host, then run again"
    # Programs on the host's own devices: the tc ones go with the clsact queue that Cilium made.
    for device in $(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}'); do
        filters=$(for side in ingress egress; do tc filter show dev "$device" "$side" 2>/dev/null || true; done)
        if [[ $filters == *cil_* ]]; then
            tc qdisc del dev "$device" clsact 2>/dev/null || true
        fi
    done
    rm -rf /sys/fs/bpf/tc/globals/cilium_* /sys/fs/bpf/cilium /sys/fs/bpf/tc/globals/tunnel_* 2>/dev/null || true
    rmdir /sys/fs/bpf/tc/globals /sys/fs/bpf/tc /sys/fs/bpf/ip /sys/fs/bpf/xdp 2>/dev/null || true
    for family in iptables ip6tables; do
        for variant in "$family-nft" "$family-legacy"; do
            command -v "$variant-save" >/dev/null || continue
            # Asking for the legacy tables would make them.
            [ "$variant" != "$family-legacy" ] || [ -s "/proc/net/${family%tables}_tables_names" ] || continue
            # It fails where the kernel lacks nf_tables or IPv6: then there is nothing of ours in it.
            rules=$("$variant-save" 2>/dev/null) || continue
            [[ $rules =~ CILIUM_|KUBE- ]] || continue
            grep -vE 'CILIUM_|KUBE-' <<<"$rules" | "$variant-restore" || true
        done
    done
    remove_ipsets
    # The kernel's own rule first: without any rule for the local table this host answers to nothing.
    for family in -4 -6; do
        restore_local_rule "$family"
        while read -r rule; do
            # shellcheck disable=SC2086  # words of a rule
            ip "$family" rule del pref "${rule%%:*}" ${rule#*:} 2>/dev/null || true
        done < <(ip "$family" rule show 2>/dev/null | grep -E 'lookup 200[45]( |$)')
        ip "$family" route flush table 2004 2>/dev/null || true
        ip "$family" route flush table 2005 2>/dev/null || true
    done
    rm -f /opt/cni/bin/cilium-cni /etc/sysctl.d/99-zzz-override_cilium.conf
    reset_plugins
    awk '$2 ~ "^/run/cilium/" {print $2}' /proc/mounts | tac | xargs -r -n 1 umount -l 2>/dev/null || true
    rm -rf --one-file-system /run/cilium /var/lib/cilium 2>/dev/null || true
}
