# shellcheck shell=bash
# The name servers that pods get from this host, and whether pods can reach them.

# The kubelet hands this file to pods; systemd-resolved's stub in /etc/resolv.conf would make CoreDNS ask itself.
pods_resolv_conf() {
    if grep -qsE '^nameserver[[:space:]]+127\.0\.0\.5[34]([[:space:]]|$)' /etc/resolv.conf && [ -e /run/systemd/resolve/resolv.conf ]; then
        printf /run/systemd/resolve/resolv.conf
    else
        printf /etc/resolv.conf
    fi
}

# name_servers_in FILE: each with a blank behind it.
name_servers_in() { awk '$1 == "nameserver" {printf "%s ", $2}' "$1" 2>/dev/null; }

# The process that answers on this host's own port 53, for messages.
name_server_process() {
    { ss -Hlnup 'sport = :53' && ss -Hlntp 'sport = :53'; } 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | grep -v systemd-resolve | head -n 1
}

# own_name_servers SERVER...: "127.0.0.1 (dnsmasq)", those that are the host itself: in a pod they are the pod.
own_name_servers() {
    local server process found=
    for server in "$@"; do
        case $server in
        127.* | ::1 | 0.0.0.0 | :: | ::ffff:127.*) found+="$server " ;;
        esac
    done
    [ -n "$found" ] || return 0
    process=$(name_server_process)
    printf '%s' "${found% }${process:+ ($process)}"
}

# reachable_name_servers SERVER...: those that a pod can reach, which has an IPv4 address only.
reachable_name_servers() {
    local server
    for server in "$@"; do
        case $server in
        127.* | 0.0.0.0 | *:*) ;;
        *) printf '%s ' "$server" ;;
        esac
    done
}
