# shellcheck shell=bash
# requires: lib/records/files lib/waiting
# Kernel settings and modules of a node.

# The stage tailnet remembers their former values.
SYSCTLS=(
    "net.ipv4.ip_forward=1"
    # A node with many pods runs out of the kernel's default of 128 inotify instances.
    "fs.inotify.max_user_instances=8192"
    "fs.inotify.max_user_watches=524288"
)
MODULES=(overlay tun nf_conntrack)

kernel_settings() {
    local module setting key
    install_text /etc/modules-load.d/tailkube.conf 0644 "$(printf '%s\n' "${MODULES[@]}")" || true
    if [ -e /proc/modules ]; then
        for module in "${MODULES[@]}"; do
            # A module built into the kernel is no error for modprobe; one that is missing shows in the facts.
            modprobe "$module" 2>/dev/null || true
        done
    fi
    install_text /etc/sysctl.d/90-tailkube.conf 0644 "$(printf '%s\n' "${SYSCTLS[@]}")" || true
    for setting in "${SYSCTLS[@]}"; do
        key=${setting%%=*}
        ask 30 "which value $key has (sysctl -n $key)" sysctl -n "$key"
        [ "$ANSWER" != "${setting#*=}" ] || continue
        # A container that may not set a global limit keeps its own: it is an optimisation.
        if [ "$key" != net.ipv4.ip_forward ] && [ ! -w "/proc/sys/${key//.//}" ]; then continue; fi
        retry 10 "this kernel does not take the setting $setting, which a node needs (sysctl -w)" sysctl -qw "$setting"
        changed "set $setting"
    done
}
