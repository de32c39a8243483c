# shellcheck shell=bash
# What the kernel of this host has for a node. An answer that begins with a question mark is none: it says why.

# The kernel's configuration, where the distribution shows it.
kernel_config() {
    if [ -r /proc/config.gz ]; then
        zcat /proc/config.gz
    elif [ -r "/boot/config-$(uname -r)" ]; then
        cat "/boot/config-$(uname -r)"
    fi
}

# What the data path needs of the kernel, where its configuration is known.
absent_kernel_options() {
    local option text
    text=$(kernel_config)
    [ -n "$text" ] || return 0
    # docs.cilium.io, System Requirements; TUN is Tailscale's.
    for option in BPF BPF_SYSCALL BPF_JIT NET_CLS_BPF NET_CLS_ACT NET_SCH_INGRESS CGROUP_BPF PERF_EVENTS TUN VETH OVERLAY_FS; do
        grep -qE "^CONFIG_$option=[ym]" <<<"$text" || printf '%s ' "CONFIG_$option"
    done
}

# vxlan_answer: yes or no. A module that the configuration has may be in a package of its own, as in Ubuntu for Raspberry Pi.
vxlan_answer() {
    local said modules
    modules=/lib/modules/$(uname -r)
    if [ -d /sys/module/vxlan ] || grep -q '^CONFIG_VXLAN=y' <<<"$(kernel_config)"; then
        printf yes
    elif [ -e "$modules/modules.dep" ]; then
        command -v modprobe >/dev/null || {
            printf '?modprobe is not installed'
            return
        }
        # Hardening switches modules off with a line "install vxlan /bin/false".
        if ! said=$(modprobe -n -v vxlan 2>&1) || [[ $said =~ ^install\ .*/(false|true) ]]; then printf no; else printf yes; fi
    elif said=$(LC_ALL=C timeout 10 unshare --net ip link add name tkprobe type vxlan id 1 dstport 8472 2>&1); then
        # In a container, where no module can be loaded: in a network that ends with the command.
        printf yes
    elif [[ $said =~ Unknown\ device\ type|[Nn]ot\ supported ]]; then
        printf no
    else
        printf '?%s' "$(head -n 1 <<<"${said:-unshare does not answer}" | tr -d '"$`\134' | cut -c 1-100)"
    fi
}

# vxlan_cure OS: the package that has the module, or what else to do.
vxlan_cure() {
    local kernel
    kernel=$(uname -r)
    if [[ $(modprobe -n -v vxlan 2>/dev/null) =~ ^install\  ]]; then
        printf 'Remove the line install vxlan from /etc/modprobe.d'
    elif [ ! -e "/lib/modules/$kernel/modules.dep" ]; then
        printf 'Run modprobe vxlan on the machine that runs this container'
    elif [ "$1" = ubuntu ]; then
        printf 'Install it: apt-get install linux-modules-extra-%s' "$kernel"
    else
        printf 'Boot the kernel of the distribution, or install its package of extra modules'
    fi
}

# missing_cgroups: the controllers that the kubelet and kubeadm need and this host has not (k8s.io/system-validators, types_unix.go).
# "devices" and "freezer" are no controllers of v2.
missing_cgroups() {
    local have needed='cpu cpuset memory pids' controller
    if [ "$(stat -fc %T /sys/fs/cgroup 2>/dev/null)" = cgroup2fs ]; then
        have=$(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null) || {
            printf '?/sys/fs/cgroup/cgroup.controllers cannot be read'
            return
        }
    else
        needed+=' cpuacct devices freezer'
        have=$(awk '!/^#/ && $4 == 1 {printf "%s ", $1}' /proc/cgroups 2>/dev/null)
        [ -n "$have" ] || {
            printf '?/proc/cgroups cannot be read'
            return
        }
    fi
    for controller in $needed; do [[ " $have " == *" $controller "* ]] || printf '%s ' "$controller"; done
}

# boot_line_cure WORDS: how the kernel's command line gets them on this host.
boot_line_cure() {
    local file
    # Raspberry Pi OS 12 moved the file and left a note in the former place.
    for file in /boot/firmware/cmdline.txt /boot/cmdline.txt; do
        grep -qs root= "$file" || continue
        if [ "$(grep -c '[^[:space:]]' "$file")" -gt 1 ]; then
            printf '%s has several lines, of which only the first counts. Make it one line with %s at its end' "$file" "$1"
        else
            printf 'Add %s to the end of the only line of %s' "$1" "$file"
        fi
        return
    done
    for file in /boot/armbianEnv.txt /boot/orangepiEnv.txt; do
        [ ! -e "$file" ] || {
            printf 'Add %s to the line extraargs= of %s' "$1" "$file"
            return
        }
    done
    if [ -e /etc/default/grub ]; then
        printf 'Add %s to GRUB_CMDLINE_LINUX in /etc/default/grub, and run update-grub' "$1"
    else
        printf 'Add %s to the command line of the kernel in its boot loader' "$1"
    fi
}

# cgroups_cure CONTROLLER...: what brings the missing ones back.
cgroups_cure() {
    local line disabled
    line=$(cat /proc/cmdline 2>/dev/null)
    disabled=$(tr ' ' '\n' <<<"$line" | sed -n 's/^cgroup_disable=//p' | tr '\n' ' ')
    if systemd-detect-virt --quiet --container 2>/dev/null; then
        printf 'This host is a container: let it have them in its configuration on the machine that runs it (LXC and Proxmox: with nesting=1, and cgroup v2 on that machine)'
    elif [ "$(stat -fc %T /sys/fs/cgroup 2>/dev/null)" = cgroup2fs ] && awk -v wanted=" $* " '$2 > 0 && index(wanted, " " $1 " ") {found = 1} END {exit !found}' /proc/cgroups 2>/dev/null; then
        printf 'cgroup v1 holds them (grep cgroup /proc/mounts). Remove what mounts it, such as the package cgroupfs-mount, and reboot'
    elif [[ " $* " == *' memory '* && ! " $line " =~ \ cgroup_enable=([a-z,]*,)?memory ]]; then
        # The firmware of a Raspberry Pi adds cgroup_disable=memory, which these words undo; in the file they count, too.
        printf '%s, and reboot' "$(boot_line_cure 'cgroup_enable=memory cgroup_memory=1')"
    elif [ -n "$disabled" ] && [[ " $* " != *' memory '* ]]; then
        printf 'Remove cgroup_disable=%s from the command line of the kernel, and reboot' "${disabled%% *}"
    else
        printf 'The kernel %s does not have them. Upgrade it, or boot the one of the distribution' "$(uname -r)"
    fi
}

# userland: the architecture of the installed packages, as dpkg has it. A 64-bit kernel also runs a system of 32 bits.
userland() {
    local found
    if found=$(dpkg --print-architecture 2>/dev/null) && [ -n "$found" ]; then printf '%s' "$found"; else printf '?dpkg does not answer'; fi
}

# kernel_log: what is wrong with /dev/kmsg, which the kubelet reads; nothing if it can be opened.
kernel_log() {
    if [ "$(id -u)" != 0 ]; then
        printf '?only root can open /dev/kmsg'
    elif [ ! -e /dev/kmsg ]; then
        printf 'is missing'
    elif ! timeout 5 bash -c ': </dev/kmsg' 2>/dev/null; then
        printf 'cannot be opened'
    fi
}

# address_bits: how many bits the kernel gives to the addresses of a process: the last mapping is its stack, near the end.
address_bits() {
    local end
    end=$(awk '!/vsyscall/ {split($1, range, "-"); end = range[2]} END {sub(/^0+/, "", end); print end}' /proc/self/maps 2>/dev/null)
    case $end in
    '') printf '?/proc/self/maps cannot be read' ;;
    1*) printf %d $((4 * ${#end} - 3)) ;;
    [23]*) printf %d $((4 * ${#end} - 2)) ;;
    [4-7]*) printf %d $((4 * ${#end} - 1)) ;;
    *) printf %d $((4 * ${#end})) ;;
    esac
}
