# shellcheck shell=bash
# lock: none
# requires: lib/node/foreign-cluster lib/node/kernel-facts lib/node/log-space lib/network/name-servers lib/network/packet-filter lib/software/container-engines lib/software/packages lib/software/proxy-check
# Stage facts: reads what the program needs to know of a host, tests the requirements, and changes nothing. A host that
# does not meet them fails with all of its problems at once. What is only a risk is a warning, and part of the result.
# Given: TK_BUNDLE (absolute path or empty), TK_VIP (the endpoint's address with endpoint.kind vip, or absent), TK_LOG_FOLDERS (those that get the node's logs), what proxy-check.sh needs, TK_REQUIREMENTS (bash, of components/hosts/host-requirements.ts, on the variables below).
# shellcheck disable=SC2034  # the variables are read by TK_REQUIREMENTS

PROBLEMS=()
WARNINGS=()
problem() { PROBLEMS+=("$*"); }
warning() { WARNINGS+=("$*"); }
# A host that is a node already does its work: a requirement that it came in without must not keep the cluster from its changes.
unless_node() { if [ -e "$TK_STATE/joined" ]; then warning "$@"; else problem "$@"; fi; }
# unknown REQUIREMENT ANSWER: a question without an answer counts neither as yes nor as no.
unknown() { warning "the requirement $1 could not be checked: ${2#\?}. Check it yourself, or add $1 to skipHostChecks in a host profile."; }

# version_at_least FOUND WANTED
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# os_at_least ID VERSION. Armbian is Debian or Ubuntu underneath, with either's version number; Debian's testing and
# unstable have no number, and are newer than any that has.
os_at_least() {
    local id=$os_id
    if [ "$id" = armbian ]; then case $os_like in *ubuntu*) id=ubuntu ;; *) id=debian ;; esac fi
    [ "$id" = "$1" ] || return 1
    [ -n "$os_version" ] || {
        [ "$id" = debian ]
        return
    }
    version_at_least "$os_version" "$2"
}

# A half-finished cluster of our own holds ports, too; the next run finishes or resets it. It is ours only from when the stage
# runtime has looked at the host and found no other there.
is_ours() { [ -e "$TK_STATE/checked" ] || [ -e "$TK_STATE/joined" ]; }

# etcd_content: the first names in etcd's folder that are not this cluster's. A disk of its own has a lost+found.
etcd_content() {
    if [ -e "$TK_STATE/etcd-ours" ] || [ -e "$TK_STATE/joined" ]; then return 0; fi
    find /var/lib/etcd/ -mindepth 1 -maxdepth 1 ! -name lost+found -printf '%f ' 2>/dev/null | head -c 100 || true
}

# kubernetes_containers: containers in Kubernetes' namespace of containerd that are not this cluster's. No answer is not none.
kubernetes_containers() {
    local end=$((SECONDS + 20))
    is_ours && return 0
    # A host that has just booted may still be starting containerd. The stage has two minutes.
    until foreign_containers 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || {
            printf 'ctr does not answer '
            return
        }
        sleep 2
    done
}

# containerd_owner: the package that the host's containerd is of; nothing where there is none, or one that this program installed.
containerd_owner() {
    local path owner
    path=$(command -v containerd) || return 0
    if owned "$path" runtime || package_is_ours containerd.io runtime; then return 0; fi
    owner=$(package_of "$path") || owner=$(package_of "$path") || owner='an unknown package (dpkg-query does not answer)'
    printf '%s' "${owner:-no package}"
}

# ports_taken PORT[/udp]...: "10250 (kubelet) …" of those that something listens on. A port of the kernel's own, such as
# another VXLAN's, has no process.
ports_taken() {
    local port protocol line process
    is_ours && return 0
    for port in "$@"; do
        case $port in */udp) protocol=-u ;; *) protocol=-t ;; esac
        line=$(ss -Hlnp "$protocol" "sport = :${port%/udp}" 2>/dev/null | head -n 1)
        process=$(sed -n 's/.*users:(("\([^"]*\)".*/\1/p' <<<"$line")
        [ -z "$line" ] || printf '%s (%s) ' "$port" "${process:-no process}"
    done
}

interfaces_json() {
    local name separator='' addresses mtu
    printf '['
    while read -r name mtu; do
        mapfile -t addresses < <(ip -o addr show dev "$name" 2>/dev/null | awk '{print $4}')
        printf '%s{"name":' "$separator"
        json_string "$name"
        printf ',"addresses":'
        json_list "${addresses[@]}"
        printf ',"mtu":%d}' "$mtu"
        separator=,
    done < <(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); match($0, / mtu [0-9]+/); print $2, substr($0, RSTART + 5, RLENGTH - 5)}')
    printf ']'
}

# macs: of the host's own interfaces.
macs() { cat /sys/class/net/*/address 2>/dev/null | grep -vx '00:00:00:00:00:00' | sort -u; }

# endpoint_mac: the MAC address that answers for TK_VIP on this host's network; nothing if none does. The kernel asks three times, a
# second apart, and first trusts what it has known for a while.
endpoint_mac() {
    local own states end=$((SECONDS + 12))
    own=$(ip -o -4 address show to "$TK_VIP/32")
    [ -z "$own" ] || return 0
    while [ "$SECONDS" -lt "$end" ]; do
        # A packet to a port without a service, which makes the kernel ask.
        echo >"/dev/udp/$TK_VIP/9"
        sleep 0.5
        states=$(ip -4 neigh show "$TK_VIP")
        case $states in *REACHABLE* | *PERMANENT*) break ;; *FAILED* | '') return 0 ;; esac
    done
    sed -n 's/.* lladdr \([0-9a-f:]*\) .*\(REACHABLE\|PERMANENT\).*/\1/p' <<<"$states" | head -n 1
}

# runs_here UNIT: as unit_runs, of a stage that leaves no trace and reports all it finds: three tries.
runs_here() {
    local runs tries
    [ -d /run/systemd/system ] || return 1
    for tries in 1 2 3; do
        if runs=$(unit_answer "$1" 2>/dev/null); then
            [ "$runs" = yes ]
            return
        fi
        [ "$tries" = 3 ] || sleep 1
    done
    return 1
}

active_network_managers() {
    ! runs_here systemd-networkd.service || printf 'systemd-networkd '
    ! runs_here NetworkManager.service || printf 'NetworkManager '
    ! compgen -G '/etc/netplan/*.yaml' >/dev/null || printf 'netplan '
    ! grep -qsE '^[[:space:]]*iface[[:space:]]+[^l]' /etc/network/interfaces /etc/network/interfaces.d/* || printf 'ifupdown '
}

# Commands that a host must have when nothing can be downloaded; with packages, other stages install them.
absent_tools() {
    local tool needed="ip ss flock timeout systemctl"
    [ -z "$TK_BUNDLE" ] || needed="$needed runc nft iptables conntrack socat mount ping tc curl"
    for tool in $needed; do
        command -v "$tool" >/dev/null 2>&1 || printf '%s ' "$tool"
    done
}

# A cluster that somebody else made is never touched.
cluster_kind() {
    if is_ours; then
        printf ours
    elif [ -n "$(foreign_kubernetes)" ]; then
        printf foreign
    fi
}

bundle_field() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" "$TK_BUNDLE/bundle.json" 2>/dev/null | head -n 1; }

gather_kernel() {
    userland=$(userland)
    missing_cgroups=$(missing_cgroups)
    kernel_log=$(kernel_log)
    address_bits=$(address_bits)
    vxlan=$(vxlan_answer)
}

gather_software() {
    docker=$(docker_answer)
    other_networks=$(other_container_networks)
    runc_profile=$(runc_profile)
    read_packet_filter "$(! runs_here firewalld.service || echo firewalld)"
}

gather() {
    # shellcheck source=/dev/null
    . /etc/os-release
    os_id=${ID:-} os_version=${VERSION_ID:-} os_like=${ID_LIKE:-} os_name=${PRETTY_NAME:-unknown}
    arch=$(uname -m) kernel=$(uname -r) epoch=$(date +%s) cpus=$(nproc)
    privilege=none
    [ "$(id -u)" != 0 ] || privilege=root
    systemd=0
    [ ! -d /run/systemd/system ] || systemd=$(systemctl --version | awk 'NR == 1 {print int($2)}')
    cgroup=1
    [ "$(stat -fc %T /sys/fs/cgroup 2>/dev/null)" != cgroup2fs ] || cgroup=2
    network_managers=$(active_network_managers)
    resolv_conf=$(pods_resolv_conf)
    name_servers=$(name_servers_in "$resolv_conf")
    # shellcheck disable=SC2086  # a list of words
    own_servers=$(own_name_servers $name_servers) reachable_servers=$(reachable_name_servers $name_servers)
    clock_synced=false
    [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" != yes ] || clock_synced=true
    # shellcheck disable=SC2086  # a list of words
    log_space=$(free_log_space $TK_LOG_FOLDERS)
    disk_free_mib=$(df -Pm /var/lib | awk 'NR == 2 {print $4}')
    memory_mib=$(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)
    swap=false
    [ "$(wc -l </proc/swaps)" -le 1 ] || swap=true
    tun=false
    { [ ! -c /dev/net/tun ] && ! modprobe -n tun 2>/dev/null; } || tun=true
    missing_tools=$(absent_tools)
    missing_kernel=$(absent_kernel_options)
    gather_kernel
    gather_software
    containerd=$(containerd --version 2>/dev/null | awk '{print $3}' | sed 's/^v//; s/[~+-].*//')
    containerd_package=$(containerd_owner)
    kubernetes=$(cluster_kind)
    foreign_files=$(foreign_kubernetes)
    foreign_cure=$(foreign_removal)
    etcd_data=$(etcd_content)
    k8s_containers=$(kubernetes_containers)
    bundle_version=
    bundle_arch=
    if [ -n "$TK_BUNDLE" ]; then
        bundle_version=$(bundle_field kubernetesVersion)
        case $(bundle_field arch) in amd64) bundle_arch=x86_64 ;; arm64) bundle_arch=aarch64 ;; *) bundle_arch=$(bundle_field arch) ;; esac
    fi
}

apply() {
    # What a host cannot answer is for the requirements to judge.
    set +e
    trap - ERR
    gather
    eval "$TK_REQUIREMENTS"
    if [ ${#PROBLEMS[@]} -gt 0 ]; then
        fail "this host does not meet the requirements, and nothing was changed on it:$(printf '\n  - %s' "${PROBLEMS[@]}")"
    fi
    printf '{"machineId":'
    json_string "$(cat /etc/machine-id 2>/dev/null || true)"
    json_member bootId "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || true)"
    json_member membership "$(cat "$TK_STATE/joined" 2>/dev/null || true)"
    json_member os "$os_name"
    json_member arch "$arch"
    json_member kernel "$kernel"
    printf ',"cgroup":%d,"networkManagers":' "$cgroup"
    # shellcheck disable=SC2086  # a list of words
    json_list $network_managers
    json_member containerd "$containerd"
    printf ',"interfaces":'
    interfaces_json
    json_member resolvConf "$resolv_conf"
    if [ -n "${TK_VIP:-}" ]; then
        printf ',"macs":'
        # shellcheck disable=SC2046  # a list of words
        json_list $(macs)
        json_member endpointMac "$(endpoint_mac 2>/dev/null)"
    fi
    printf ',"warnings":'
    json_list "${WARNINGS[@]}"
    printf '}\n'
}
