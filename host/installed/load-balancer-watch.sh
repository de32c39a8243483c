#!/bin/bash
# Installed as /usr/local/lib/tailkube/load-balancer.
# Advertises the addresses of LoadBalancer services to the tailnet while this node can serve them. tailkube-load-balancer.service
# runs it on each node that takes their traffic. Tailscale keeps a router as long as its host is online, so a node whose kubelet or
# Cilium is not well has to withdraw the route itself; another node then takes over.
#   load-balancer watch    follow kubelet and Cilium until the service is stopped, then withdraw
#   load-balancer up       advertise the addresses
#   load-balancer down     withdraw them
# On the host lib/network/route-watch.sh stands before it, as one file.
# shellcheck disable=SC2034,SC2154  # that reads watched, withdrawn and last, and sets state
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/load-balancer.env

watched="load balancer"
# Seconds from one look to the next.
interval=0.5
# Seconds for which it must be ill before the route goes, and looks in a row at the least: one slow answer is no illness. Without
# Cilium's programs on tailscale0 nothing is served. Without kubelet or Cilium's agent they serve on, but do not hear of new pods any
# more: a restart of these, as in an upgrade, does not move the route, for that breaks every connection.
grace_detached=0
grace_kubelet=3
grace_else=30
patience=2
# Seconds in which another node must have the route after a withdrawal, and for how long this one serves on where none has.
takeover=5
alone_for=600
# Looks between two of the filter.
slower=20

up() { /usr/local/lib/tailkube/routes set load-balancer "$TAILKUBE_LOAD_BALANCER"; }
down() { timeout 20 /usr/local/lib/tailkube/routes unset load-balancer; }

# Cilium takes what is for a service before the kernel routes it, from a host's programs, from pods and from the tailnet alike. What
# the kernel sees is for an address without a service: it would leave by the default route, or go from node to node.
set_filter() {
    nft list table inet tailkube_load_balancer >/dev/null 2>&1 || nft -f - <<END
table inet tailkube_load_balancer {
    chain output {
        type filter hook output priority filter; policy accept;
        ip daddr $TAILKUBE_LOAD_BALANCER counter drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ip daddr $TAILKUBE_LOAD_BALANCER counter drop
    }
}
END
}
remove_filter() { nft delete table inet tailkube_load_balancer 2>/dev/null || true; }

# started NAME: when its newest process started, in clock ticks since the boot. A name, which is in brackets, may hold blanks.
started() {
    local process stat
    process=$(pgrep -xn "$1") && read -r stat 2>/dev/null <"/proc/$process/stat" || return
    read -ra stat <<<"${stat##*) }"
    echo "${stat[19]}"
}

# attached: whether Cilium's agent is younger than tailscale0, which tailscaled makes again whenever it starts: Cilium's programs are on
# the interfaces that its agent found. Asked once for each tailscale0.
attached() {
    local index agent tailscaled
    read -r index 2>/dev/null </sys/class/net/tailscale0/ifindex || return
    [ "$index" != "$attached_to" ] || return 0
    agent=$(started cilium-agent) && tailscaled=$(started tailscaled) && [ "$agent" -gt "$tailscaled" ] || return
    attached_to=$index
}

# look: sets `ill` to what keeps this node from serving well, or to nothing, and `grace` to how many seconds of it are borne. The agent
# is asked what its own liveness probe asks, which does not depend on the API.
look() {
    local said status=0
    ill='' grace=$grace_else
    said=$(curl -s --max-time 2 --noproxy '*' "http://127.0.0.1:$TAILKUBE_KUBELET_HEALTH/healthz") || status=$?
    case $status:$said in
    0:ok) ;;
    # curl's code for a connection that is refused.
    7:*) ill="the kubelet is gone" grace=$grace_kubelet ;;
    0:*) ill="the kubelet is not healthy" ;;
    *) ill="the kubelet is slow" ;;
    esac
    if ! attached; then
        ill="Cilium does not have this tailscale0 yet" grace=$grace_detached
    fi
    [ -z "$ill" ] || return 0
    curl -sf --max-time 2 --noproxy '*' -o /dev/null -H 'brief: true' -H 'require-k8s-connectivity: false' "http://127.0.0.1:$TAILKUBE_CILIUM_HEALTH/healthz" ||
        ill="Cilium's agent is not healthy"
}

# elsewhere: whether another node has the route, as Tailscale's table says.
elsewhere() { ip -4 route show table 52 "$TAILKUBE_LOAD_BALANCER" 2>/dev/null | grep -q .; }

# stop: the service's end. Two signals must not make two of it.
stop() {
    trap '' TERM INT
    echo "$watched down: stopped"
    # The next start finds what this one could not withdraw.
    down || true
    remove_filter
    exit
}

# The only node that takes this traffic keeps it, however ill it is: no other node could take over.
may_leave() { [ "$TAILKUBE_LOAD_BALANCER_ALONE" != yes ] && [ $((SECONDS - alone_since)) -ge "$alone_for" ]; }

watch() {
    local looks=0
    good=0 bad=0 ill_since=$SECONDS
    state=unknown withdrawn=() last='' attached_to='' alone_since=-$alone_for
    trap stop TERM INT
    while true; do
        # What fails now is tried again.
        if [ $((looks % slower)) = 0 ]; then set_filter || say "filter: nft refuses it, trying on"; fi
        looks=$((looks + 1))
        look
        if [ -z "$ill" ]; then good=$((good + 1)) bad=0 ill_since=$SECONDS; else bad=$((bad + 1)) good=0; fi
        case $state in
        # After a boot the route is still advertised from before, whatever is well here.
        unknown) if [ "$good" -gt 0 ]; then enter up "kubelet and Cilium are healthy"; else enter down "$ill"; fi ;;
        up)
            if [ "$bad" -ge "$patience" ] && [ $((SECONDS - ill_since)) -ge "$grace" ]; then
                if may_leave; then enter down "$ill"; else say "kept: $ill, but no other node takes over"; fi
            fi
            ;;
        down)
            if [ "$good" -ge "$(calm)" ]; then
                enter up "kubelet and Cilium have been healthy for $good looks"
            elif [ "${#withdrawn[@]}" -gt 0 ] && [ $((SECONDS - withdrawn[-1])) -ge "$takeover" ] && ! elsewhere; then
                # Cilium's programs may serve on, and here is better than nowhere.
                alone_since=$SECONDS
                enter up "no other node has taken the route"
            fi
            ;;
        esac
        sleep "$interval"
    done
}

case ${1:-} in
watch | up | down) "$1" ;;
*)
    echo "usage: load-balancer watch|up|down" >&2
    exit 2
    ;;
esac
