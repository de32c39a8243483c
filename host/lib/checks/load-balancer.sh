# shellcheck shell=bash
# requires: lib/api lib/checks/flows lib/checks/paths lib/waiting
# Whether a Service of type LoadBalancer gets an address and answers there, as part of the stage check-cluster. Within the cluster Cilium
# answers on the asking node itself, so the way from outside is checked separately: the route, or the node that answers ARP.
# Given (beside the stage's): TK_LOAD_BALANCER (network of the addresses; absent: nothing is checked), TK_LOAD_BALANCER_SERVING (names
# of the nodes that take traffic).

# At most this many nodes are asked.
balancer_askers=12

balancer_service_manifest() {
    cat <<EOF
apiVersion: v1
kind: Service
metadata: {name: $BALANCER, namespace: $NAMESPACE}
spec: {type: LoadBalancer, selector: {probe: $BALANCER_BACKEND}, ports: [{port: 80, targetPort: 8080}]}
EOF
}
apply_balancer_service() { balancer_service_manifest | kubectl_admin apply -f -; }

balancer_address() { kubectl_checks get service "$BALANCER" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}'; }
has_balancer_address() { balancer_address | grep -q .; }
pool_state() { kubectl_admin get ciliumloadbalancerippools.cilium.io tailkube -o 'jsonpath={range .status.conditions[?(@.status=="True")]}{.type}: {.message}; {end}'; }

# balancer_answers PROBE: whether that pod gets the backend's answer at the address.
balancer_answers() {
    local said
    # shellcheck disable=SC2016  # the pod's own variables
    said=$(kubectl_checks exec "$1" -- /bin/bash -c 'exec 3<>"/dev/tcp/$0/80" && read -r -t 5 line <&3 && echo "$line"' "$BALANCER_ADDRESS") && [ "$said" = "$BALANCER_BACKEND" ]
}

# balancer_is_routed: whether this host knows a node with the route, or has it itself.
balancer_is_routed() {
    local text
    text=$(ip -4 route show table 52 "$TK_LOAD_BALANCER") || return
    [ -z "$text" ] || return 0
    text=$(timeout 10 tailscale status --json --peers=false) || return
    sed -n '/"PrimaryRoutes": \[/,/\]/p' <<<"$text" | grep -qF "\"$TK_LOAD_BALANCER\""
}
balancer_holder() { kubectl_admin -n kube-system get lease "cilium-l2announce-$NAMESPACE-$BALANCER" -o 'jsonpath={.spec.holderIdentity}' | grep -q .; }

check_balancer_way() {
    if [ "$TK_NODE_NETWORK" = lan ]; then
        poll 30 balancer_holder || failed "load balancer: no node announces $BALANCER_ADDRESS in the lan: see 'kubectl get ciliuml2announcementpolicies tailkube -o yaml' and 'kubectl -n kube-system get leases'"
    else
        poll 60 balancer_is_routed || failed "load balancer: no node's route to $TK_LOAD_BALANCER is active in the tailnet. Is it approved (docs/operate/load-balancer.md)? 'journalctl -u tailkube-load-balancer' on ${TK_LOAD_BALANCER_SERVING// / and } says whether it is advertised"
    fi
}

check_load_balancer() {
    local probe probes
    [ -n "${TK_LOAD_BALANCER:-}" ] || return 0
    # What does not run has been reported.
    [ -n "$RUNNING" ] || return 0
    # shellcheck disable=SC2086  # words
    probes=$(printf '%s\n' $RUNNING | sort)
    BALANCER=load-balancer
    while grep -qxF "$BALANCER" <<<"$probes"; do BALANCER+=-x; done
    # On a node that takes the traffic, if there is such a probe.
    BALANCER_BACKEND=$(grep -xF "${TK_LOAD_BALANCER_SERVING// /$'\n'}" <<<"$probes" | tail -n 1) || true
    BALANCER_BACKEND=${BALANCER_BACKEND:-$(tail -n 1 <<<"$probes")}
    retry 60 "cannot make a Service of type LoadBalancer in namespace $NAMESPACE" apply_balancer_service
    if ! poll 30 has_balancer_address; then
        failed "load balancer: a Service got no address of $TK_LOAD_BALANCER within 30 s: $(pool_state 2>&1 | tr '\n' ' ')see 'kubectl describe ciliumloadbalancerippools tailkube' and 'kubectl -n kube-system logs deployment/cilium-operator'"
        return
    fi
    ask 60 "which address the Service $BALANCER has, to the API" balancer_address
    BALANCER_ADDRESS=$ANSWER
    for probe in $(head -n "$balancer_askers" <<<"$probes"); do
        if poll 30 balancer_answers "$probe"; then
            PATHS=$((PATHS + 1))
        else
            learn_agents
            learn_flow service "$probe" "$BALANCER_BACKEND"
            failed "load balancer from $probe: no answer of the pod on $BALANCER_BACKEND at $BALANCER_ADDRESS; 'cilium-dbg service list' in the agent on $probe shows the service's backends$FLOW"
        fi
    done
    check_balancer_way
}
