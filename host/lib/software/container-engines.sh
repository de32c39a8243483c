# shellcheck shell=bash
# requires: lib/units
# Other programs that run containers on this host, and whether AppArmor lets containerd's be stopped.

# running_containers: "3 containers run"; nothing if Docker does not answer, for it is asked for a message alone.
running_containers() {
    local ids
    ids=$(timeout 10 docker ps -q 2>/dev/null) || return 0
    case $(grep -c . <<<"$ids") in
    0) printf 'no container runs' ;;
    1) printf '1 container runs' ;;
    *) printf '%d containers run' "$(grep -c . <<<"$ids")" ;;
    esac
}

# docker_answer: "Docker, 3 containers run" where its daemon runs on the containerd that Kubernetes would use, too.
docker_answer() {
    local runs count
    command -v dockerd >/dev/null || return 0
    runs=$(unit_answer docker.service 2>/dev/null) || {
        printf '?systemd does not say whether docker.service runs'
        return
    }
    [ "$runs" = yes ] || return 0
    count=$(running_containers)
    printf 'Docker%s' "${count:+, $count}"
}

# other_container_networks: configurations of CNI that are not Cilium's, each with a blank behind it: podman's, CRI-O's, nerdctl's.
other_container_networks() {
    find /etc/cni/net.d/ -mindepth 1 -maxdepth 1 -type f \( -name '*.conf' -o -name '*.conflist' \) ! -name '*cilium*' -printf '%f ' 2>/dev/null | head -c 200 || true
}

# runc_profile: yes if AppArmor confines this host's runc by a profile of that name (AppArmor 4, from Ubuntu 23.10 on), and the
# profile that the installed containerd gives to containers lets only unconfined programs stop them.
runc_profile() {
    local profiles=/sys/kernel/security/apparmor/profiles daemon
    daemon=$(command -v containerd) || return 0
    if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ]; then return 0; fi
    # The profile is of this path alone; Docker's package has another.
    [ "$(readlink -f -- "$(command -v runc)" 2>/dev/null)" = /usr/sbin/runc ] || return 0
    # A backport has the same version number.
    ! grep -qaF 'signal (receive) peer=runc,' "$daemon" || return 0
    if [ ! -r "$profiles" ]; then
        printf '?%s cannot be read' "$profiles"
    elif grep -q '^runc (' "$profiles"; then
        printf yes
    fi
}
