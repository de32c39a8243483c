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

# One DNS question over UDP to one server, by hand, for kube-dns.kube-system.svc.cluster.local: answered if the reply's
# id is ours and its code is 0. A name with a label of ten letters would not do: its length is a line break, at which
# bash would cut the datagram in two.
# shellcheck disable=SC2016  # the inner bash expands
answers_dns() {
    local reply
    reply=$(timeout $((4 * slow)) bash -c 'exec 3<>"/dev/udp/$0/53"
        printf "\x54\x4b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08kube-dns\x0bkube-system\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01" >&3
        head -c 4 <&3 | od -An -tx1' "$1" | tr -d ' \n')
    [[ $reply =~ ^544b8.?.0$ ]]
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

# After a boot or a join agents learn late of new services. A CoreDNS that asks the API server of a control plane that was just
# removed learns of nothing until that API server ends. That is waited for once, and not at each path: for 90 s at most, in
# proportion on slow hosts.
for ((waited = 0; waited < 45 && SECONDS < 90 * slow; waited++)); do
    every_service_says && every_name_resolves && break
    sleep $((2 * slow))
done
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
