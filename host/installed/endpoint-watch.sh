#!/bin/bash
# Installed as /usr/local/lib/tailkube/endpoint.
# Keeps the API endpoint where a ready API server is. `endpoint watch`, which tailkube-endpoint.service runs, follows the
# local API server's /readyz with two things that always go together: the endpoint on this host's loopback, and its route.
# A host whose API server is not ready has neither, so that its own kubelet, too, reaches a healthy one over the tailnet. One
# that is slow, or says that it is not ready, keeps them as long as no other control plane does better.
#   endpoint watch    follow the API server until the service is stopped, then withdraw
#   endpoint up       put the address on the loopback and advertise it
#   endpoint down     take both back
# On the host lib/network/route-watch.sh and lib/control-plane/api-servers.sh stand before it, as one file.
# shellcheck disable=SC2034,SC2154  # they read watched, withdrawn, last, answer_within and api_servers_from, and set state, found and renewal
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/endpoint.env

watched=endpoint
# Seconds from one look to the next.
interval=0.5
# Looks in a row that must fail before the endpoint goes: a single slow answer is no failure.
patience=2
answer_within=2
api_servers_from=

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

# Before this host has joined there is no API server to follow, and `kubeadm init` itself talks to the endpoint.
look_here() { if [ -e /var/lib/tailkube/joined ]; then look_at 127.0.0.1; else found=ok; fi; }

# stop: the service's end. Two signals must not make two of it.
stop() {
    trap '' TERM INT
    echo "$watched down: stopped"
    # One that is slow still answers.
    if [ "$state" = up ] && { [ "$bad" = 0 ] || [ "$found" = slow ]; }; then leave; else down; fi
    exit
}

watch() {
    good=0 bad=0
    state=unknown withdrawn=() last='' found=gone renewed=-$renewal
    trap stop TERM INT
    while true; do
        look_here
        if [ "$found" = ok ]; then good=$((good + 1)) bad=0; else bad=$((bad + 1)) good=0; fi
        if [ "$good" -gt 0 ] && [ -e /var/lib/tailkube/joined ] && [ $((SECONDS - renewed)) -ge "$renewal" ]; then
            renewed=$SECONDS
            renew_servers &
        fi
        case $state in
        # After a boot the route is still advertised from before, whatever the API server does.
        unknown)
            if [ "$good" -gt 0 ]; then
                enter up "the API server is ready"
            elif [ "$found" = slow ] && ! better_elsewhere; then
                enter up "the API server is slow, but no other is known to answer"
            else
                enter down "the API server is not ready yet"
            fi
            ;;
        up)
            if [ "$bad" -ge "$patience" ]; then
                here=$found
                if better_elsewhere; then
                    enter down "the API server is $here"
                else
                    say "kept: the API server is $here, but no other is known to answer"
                fi
            fi
            if [ "$state" = up ] && ! present; then
                enter up "the address had gone from the loopback"
            fi
            ;;
        down)
            here=$found
            if [ "$good" -ge "$(calm)" ]; then
                enter up "the API server has been ready for $good looks"
            elif [ "$good" -gt 0 ] && ! server_ready "$TAILKUBE_ENDPOINT"; then
                # Better here than nowhere.
                enter up "the API server is ready, and no other answers at the endpoint"
            elif [ "$here" = slow ] && [ "$bad" -ge "$patience" ] && ! server_ready "$TAILKUBE_ENDPOINT" && ! another_answers; then
                enter up "the API server is slow, but no other answers"
            fi
            ;;
        esac
        sleep "$interval"
    done
}

case ${1:-} in
watch | up | down) "$1" ;;
*)
    echo "usage: endpoint watch|up|down" >&2
    exit 2
    ;;
esac
