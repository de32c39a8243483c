# shellcheck shell=bash
# Runs inside a probe pod. Arguments: own node, namespace, pod MTU (bytes), CoreDNS pods ("node=ip" words), targets
# ("node=pod ip=service ip=node ip" words, the own node among them), seconds that the slowest probe took to start. Prints a line
# `passed KIND FROM TO` or `failed KIND FROM TO DETAIL` for each path, and `done` at the end. All targets are probed at the same time,
# so that one that is dead holds up no other.
#
# Kinds: pod; tunnel (the pod is silent, though its node answers); service; dns (its name); coredns (one pod of it); mtu (a packet of
# full size is lost); larger (a packet that is too large passes); ping (it does not run here).
self=$1 namespace=$2 mtu=$3 coredns=$4 peers=$5 started=${6:-0}
# How much slower than usual the hosts are: a probe starts within 15 s on a busy host with an SSD. At most five times, which
# keeps one path below a minute and a half.
slow=$((started < 15 ? 1 : started < 75 ? (started + 14) / 15 : 5))

# attempt COMMAND...: a path counts as broken when it fails three times in a row, within some seconds in which the last
# agent has learnt of a new pod.
attempt() {
    local pause
    for pause in $((2 * slow)) $((4 * slow)) 0; do
        "$@" 2>/dev/null && return 0
        sleep "$pause"
    done
    return 1
}

# says IP PORT NAME: whoever answers there says NAME.
says() { [ "$(timeout $((4 * slow)) bash -c "exec 3<>/dev/tcp/$1/$2 && head -n 1 <&3")" = "$3" ]; }
every_service_says() {
    local name service
    for peer in $peers; do
        IFS='=' read -r name _ service _ <<<"$peer"
        says "$service" 80 "$name" 2>/dev/null || return 1
    done
}
# No awk here: it is a link into /etc/alternatives, which a probe does not see.
resolves() {
    local found
    read -r found _ < <(timeout $((6 * slow)) getent ahostsv4 "$1")
    [ "$found" = "$2" ]
}

# coredns_address SERVER NAME: prints the address that this pod of CoreDNS itself has for a name, or nothing if it has none. Fails
# if it does not answer. A DNS question over UDP by hand, for getent asks whichever pod the service chooses. dd sends it in one
# datagram: bash would cut it at a line break, which is the length of a label of ten letters.
# shellcheck disable=SC2016  # the inner bash expands
coredns_address() {
    local question='\x54\x4b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00' label reply
    for label in ${2//./ }; do question+=$(printf '\\x%02x%s' "${#label}" "$label"); done
    reply=$(timeout $((4 * slow)) bash -c 'exec 3<>"/dev/udp/$0/53"
        printf "$1" | dd bs=512 iflag=fullblock status=none >&3
        dd bs=512 count=1 status=none <&3 | od -An -v -tx1' "$1" "$question\x00\x00\x01\x00\x01" | tr -d ' \n')
    # The question's ID, and the code for an answer, or for a name that does not exist.
    [[ $reply =~ ^544b...[03] ]] || return
    # The answer's address is the reply's end.
    [ "${reply:7:1}" != 0 ] || printf '%d.%d.%d.%d\n' "0x${reply: -8:2}" "0x${reply: -6:2}" "0x${reply: -4:2}" "0x${reply: -2:2}"
}
answers_dns() { [ -n "$(coredns_address "$1" kube-dns.kube-system.svc.cluster.local)" ]; }
# is_stale SERVER: it answers, and does not know one of the targets' services yet. One that is silent is not waited for.
is_stale() {
    local peer name service found
    for peer in $peers; do
        IFS='=' read -r name _ service _ <<<"$peer"
        found=$(coredns_address "$1" "$name.$namespace.svc.cluster.local" 2>/dev/null) || return
        [ "$found" = "$service" ] || return 0
    done
    return 1
}
no_coredns_is_stale() {
    local server
    for server in $coredns; do ! is_stale "${server#*=}" || return 1; done
}

# Header of IPv4 and ICMP: 28 bytes.
passes() { ping -q -c 1 -W $((3 * slow)) -M "do" -s "$(($2 - 28))" "$1" >/dev/null; }

# check KIND TO DETAIL COMMAND...: says what came of it, which is its exit status, too.
check() {
    local kind=$1 to=$2 detail=$3
    shift 3
    if attempt "$@"; then
        echo "passed $kind $self $to"
    else
        echo "failed $kind $self $to $detail"
        return 1
    fi
}

# check_pod NAME POD NODE
check_pod() {
    if attempt says "$2" 8080 "$1"; then
        echo "passed pod $self $1"
    # What is broken is then what carries pods between the nodes, and not the nodes' own network.
    elif passes "$3" 64 2>/dev/null; then
        echo "failed tunnel $self $1 no answer from the pod at $2, though $1 itself answers at $3"
        return 1
    else
        echo "failed pod $self $1 no answer from the pod at $2"
        return 1
    fi
}

check_mtu() {
    check mtu "$1" "a packet of $mtu bytes is lost on the way to $2" passes "$2" "$mtu"
    if passes "$2" "$((mtu + 1))" 2>/dev/null; then
        echo "failed larger $self $1 a packet of $((mtu + 1)) bytes passes, so the pod's MTU is not $mtu"
    else
        echo "passed larger $self $1"
    fi
}

check_target() {
    local name pod service node
    IFS='=' read -r name pod service node <<<"$1"
    # With the last dot, or the search domains of the host's resolv.conf would be asked first.
    check dns "$name" "the service's name does not resolve to $service" resolves "$name.$namespace.svc.cluster.local." "$service"
    # Behind a pod that is silent its service is silent, too, and no packet of any size gets there: the cause is enough.
    [ "$name" = "$self" ] || check_pod "$name" "$pod" "$node" || return 0
    check service "$name" "no answer from the service at $service" says "$service" 80 "$name"
    [ "$name" = "$self" ] || [ -n "${pings:-}" ] || check_mtu "$name" "$pod"
}

every_name_resolves() {
    local name service
    for peer in $peers; do
        IFS='=' read -r name _ service _ <<<"$peer"
        resolves "$name.$namespace.svc.cluster.local." "$service" || return 1
    done
}

# wait_until SECONDS COMMAND: what takes its time is waited for once, and not at each path; in proportion on slow hosts.
wait_until() {
    local tries
    for ((tries = 0; tries < $1 / 2 && SECONDS < $1 * slow; tries++)); do
        "$2" && return
        sleep $((2 * slow))
    done
}
# After a boot or a join agents learn late of new services.
services_answer() { every_service_says && every_name_resolves; }
wait_until 90 services_answer
# A pod of CoreDNS whose connection is to the API server of a control plane that was just removed learns of nothing until that API
# server ends: after eight failed liveness probes of 10 s, and the time that it takes to end.
wait_until 150 no_coredns_is_stale
# 1 is a packet that was lost; what is above says nothing about the network.
error=$(ping -q -c 1 -W 3 127.0.0.1 2>&1 >/dev/null) || case $? in
1) ;;
*)
    pings=none
    error=${error##*$'\n'}
    echo "failed ping $self $self ping does not run in a pod, so no MTU was checked from there: ${error:-no message}"
    ;;
esac
for peer in $peers; do check_target "$peer" & done
for server in $coredns; do
    check coredns "${server%%=*}" "CoreDNS at ${server#*=} does not answer" answers_dns "${server#*=}" &
done
wait
echo "done"
