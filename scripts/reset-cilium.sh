# shellcheck shell=bash
# The way out of Cilium's data path, on one host.

# Cilium has no uninstaller: its programs stay attached, its maps pinned, its rules and chains in place.
reset_cilium() {
    local link device family variant rules
    pkill -KILL -x cilium-agent 2>/dev/null || true
    for link in $(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | grep -E '^(lxc|cilium_)' || true); do
        ip link del "$link" 2>/dev/null || true
    done
    # Programs on the host's own devices: the tc ones go with the clsact queue that Cilium made.
    for device in $(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}'); do
        if [[ $(tc filter show dev "$device" ingress 2>/dev/null; tc filter show dev "$device" egress 2>/dev/null) == *cil_* ]]; then
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
    if command -v ipset >/dev/null; then ipset destroy cilium_node_set_v4 2>/dev/null || true; fi
    ip rule del fwmark 0x200/0xf00 lookup 2004 2>/dev/null || true
    ip rule del fwmark 0xa00/0xf00 lookup 2005 2>/dev/null || true
    ip route flush table 2004 2>/dev/null || true
    ip route flush table 2005 2>/dev/null || true
    # Cilium moves the local table's rule from preference 0 to 100.
    if ip rule show pref 100 | grep -q 'lookup local'; then
        ip rule add pref 0 lookup local 2>/dev/null || true
        ip rule del pref 100 lookup local 2>/dev/null || true
    fi
    rm -f /opt/cni/bin/cilium-cni /etc/sysctl.d/99-zzz-override_cilium.conf
    if ! dpkg -S /opt/cni/bin >/dev/null 2>&1; then
        rm -f /opt/cni/bin/loopback
        rmdir /opt/cni/bin /opt/cni 2>/dev/null || true
    fi
    awk '$2 ~ "^/run/cilium/" {print $2}' /proc/mounts | tac | xargs -r -n 1 umount -l 2>/dev/null || true
    rm -rf --one-file-system /run/cilium 2>/dev/null || true
}
