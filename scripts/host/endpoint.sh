#!/bin/bash
# Keeps the API endpoint where a ready API server is. `endpoint watch`, which tailkube-endpoint.service runs, follows the
# local API server's /readyz with two things that always go together: the endpoint on this host's loopback, and its route.
# A host whose API server is not ready has neither, so that its own kubelet, too, reaches a healthy one over the tailnet.
#   endpoint watch    follow the API server until the service is stopped, then withdraw
#   endpoint up       put the address on the loopback and advertise it
#   endpoint down     take both back
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/endpoint.env

# Seconds from one look to the next.
interval=0.5
# Looks in a row that must fail before the endpoint goes: a single slow answer is no failure.
patience=2
# Looks in a row that must succeed before it comes back; doubled for each withdrawal of the last $memory seconds, so that
# an API server that comes and goes does not drag the endpoint along.
calm_least=3
calm_most=60
memory=300

up() {
    # The address first: a route whose host does not know the address would swallow requests.
    ip address replace "$TAILKUBE_ENDPOINT/32" dev lo && /usr/local/lib/tailkube/routes set endpoint "$TAILKUBE_ENDPOINT/32"
}

remove_address() { ip address del "$TAILKUBE_ENDPOINT/32" dev lo 2>/dev/null || true; }

down() {
    local status=0
    timeout 20 /usr/local/lib/tailkube/routes unset endpoint || status=$?
    # Also where tailscaled does not answer: a host with the address on its own loopback reaches no other's API server.
    remove_address
    return "$status"
}

present() { ip -o -4 address show dev lo to "$TAILKUBE_ENDPOINT/32" | grep -q .; }

# leave: `down` of a host that could still answer. It does so until another has the route, which it sees in Tailscale's
# table: whoever asks meanwhile gets an answer. With no other control plane there is nobody to wait for.
leave() {
    local asks
    timeout 20 /usr/local/lib/tailkube/routes unset endpoint || true
    for asks in {1..12}; do
        if ip -4 route show table 52 "$TAILKUBE_ENDPOINT" 2>/dev/null | grep -q .; then break; fi
        sleep 0.2
    done
    # The other hosts hear of it at the same time, but not at the same moment.
    if [ "$asks" -lt 12 ]; then sleep 0.3; fi
    remove_address
}

# ready ADDRESS: asked without credentials; /readyz is open to anybody.
ready() { [ "$(curl -sk --max-time 2 --noproxy '*' "https://$1:$TAILKUBE_ENDPOINT_PORT/readyz")" = ok ]; }

# Before this host has joined there is no API server to follow, and `kubeadm init` itself talks to the endpoint.
healthy() { [ ! -e /var/lib/tailkube/joined ] || ready 127.0.0.1; }

# Looks that must succeed before the endpoint comes back.
calm() {
    local at recent=0 looks=$calm_least
    for at in "${withdrawn[@]}"; do
        if [ $((SECONDS - at)) -lt "$memory" ]; then recent=$((recent + 1)); fi
    done
    while [ "$recent" -gt 1 ] && [ "$looks" -lt "$calm_most" ]; do
        looks=$((looks * 2)) recent=$((recent - 1))
    done
    echo $((looks < calm_most ? looks : calm_most))
}

# enter up|down WHY: the state is the new one only when all of it was done; else the next look tries again.
enter() {
    local said="$1: $2"
    if "$1"; then
        if [ "$state" = up ] && [ "$1" = down ]; then withdrawn+=("$SECONDS"); fi
        state=$1
    else
        said="$said; but it could not be done, trying on"
    fi
    # Once, not with each look.
    if [ "$said" != "$last" ]; then echo "endpoint $said"; fi
    last=$said
}

# stop: the service's end. Two signals must not make two of it.
stop() {
    trap '' TERM INT
    echo "endpoint down: stopped"
    if [ "$state" = up ] && [ "$bad" = 0 ]; then leave; else down; fi
    exit
}

watch() {
    good=0 bad=0
    state=unknown withdrawn=() last=
    trap stop TERM INT
    while true; do
        if healthy; then good=$((good + 1)) bad=0; else bad=$((bad + 1)) good=0; fi
        case $state in
        # After a boot the route is still advertised from before, whatever the API server does.
        unknown) if [ "$good" -gt 0 ]; then enter up "the API server is ready"; else enter down "the API server is not ready yet"; fi ;;
        up)
            if [ "$bad" -ge "$patience" ]; then
                enter down "the API server is not ready"
            elif ! present; then
                enter up "the address had gone from the loopback"
            fi
            ;;
        down)
            if [ "$good" -ge "$(calm)" ]; then
                enter up "the API server has been ready for $good looks"
            elif [ "$good" -gt 0 ] && ! ready "$TAILKUBE_ENDPOINT"; then
                # Better here than nowhere.
                enter up "the API server is ready, and no other answers at the endpoint"
            fi
            ;;
        esac
        sleep "$interval"
    done
}

case ${1:-} in
watch | up | down) "$1" ;;
*) echo "usage: endpoint watch|up|down" >&2; exit 2 ;;
esac
