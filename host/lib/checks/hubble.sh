# shellcheck shell=bash
# requires: lib/api lib/checks/flows lib/checks/report lib/cluster/readiness lib/messages lib/waiting
# Hubble in the stage check-cluster: do its relay and UI run, does the relay have flows of every node, and for how long are its
# certificates valid?
# Given (beside the stage's): TK_HUBBLE ("relay" or "relay ui"; absent: nothing is checked).

CERTIFICATE_DAYS=30

# What of the workload hubble-PART is not ready. As a command, the checks do not wait for pods that start.
check_hubble_part() {
    local name=hubble-$1 end
    end=$((SECONDS + $([ -n "$AS_COMMAND" ] && echo 30 || echo "$TK_READY_SECONDS")))
    until rolled_out "deployment/$name" >/dev/null 2>&1; do
        # An image that cannot be had is given three minutes, as a probe's.
        if [ "$SECONDS" -ge "$end" ] || { [ "$((end - SECONDS))" -lt $((TK_READY_SECONDS - 180)) ] && why_not_ready "k8s-app=$name" | grep -qE 'ErrImage|ImagePull|CrashLoop'; }; then
            failed "$name: not ready: $(why_not_ready "k8s-app=$name")see 'kubectl -n kube-system describe pods -l k8s-app=$name' and 'kubectl -n kube-system logs deployment/$name'"
            return 1
        fi
        sleep 1
    done
}

relay_service() { kubectl_admin -n kube-system get service hubble-relay -o 'jsonpath={.spec.clusterIP}:{.spec.ports[0].port}'; }

# nodes_of_relay NODE ADDRESS: the nodes of which the relay, asked from that node, has a flow, a line each. Of each agent it asks for one.
nodes_of_relay() {
    local options=()
    # With the user's own hubble.relay.tls.server.
    [ "${2##*:}" != 443 ] || options=(--tls --tls-allow-insecure)
    hubble_on "$1" observe --server "$2" "${options[@]}" --last 1 -o jsonpb 2>"$TK_RUN/relay.err" | grep -F '"flow":' | grep -oE '"node_name": ?"[^"]+"' | sed 's/.*[/"]\([^/"]*\)"$/\1/' | sort -u
}

# relay_sees_all NODE ADDRESS: whether it has flows of all nodes that run a probe; UNSEEN has the others.
relay_sees_all() {
    local name seen
    seen=$(nodes_of_relay "$1" "$2") || true
    UNSEEN=
    for name in $RUNNING; do grep -qxF "$name" <<<"$seen" || UNSEEN+="$name "; done
    [ -z "$UNSEEN" ]
}

knows_agent() {
    [ -n "${AGENT[$1]:-}" ] || learn_agents
    [ -n "${AGENT[$1]:-}" ]
}

check_relay() {
    local at address count
    at=$(head -n 1 < <(tr ' ' '\n' <<<"$RUNNING"))
    [[ " $RUNNING " != *" $TK_NODE "* ]] || at=$TK_NODE
    poll 60 knows_agent "$at" || fail "the API does not say which pod Cilium's agent has on $at (asked for 60 s)"
    ask 60 "which address the Service hubble-relay has, to the API" relay_service
    address=$ANSWER
    # The relay tries a node again after 30 s.
    if poll 90 relay_sees_all "$at" "$address"; then
        PATHS=$((PATHS + $(wc -w <<<"$RUNNING")))
        return
    fi
    count=$(wc -w <<<"$RUNNING")
    # shellcheck disable=SC2086  # words
    failed "hubble-relay: asked from $at at $address, it has no flows of $(some_of $UNSEEN) ($(wc -w <<<"$UNSEEN") of $count nodes)$(relay_error); is TCP 4244 open between the nodes? 'kubectl -n kube-system logs deployment/hubble-relay' says why it cannot reach them"
}
relay_error() { [ ! -s "$TK_RUN/relay.err" ] || printf ': %s' "$(log_tail "$TK_RUN/relay.err" 1 | tr -cd '[:print:]' | cut -c1-200)"; }

# Lines "Secret certificate" of the chart's own Secrets, in base64; each has its authority's certificate, too.
hubble_certificates() { kubectl_admin -n kube-system get secrets hubble-server-certs hubble-relay-client-certs --ignore-not-found -o 'jsonpath={range .items[*]}{.metadata.name} {.data.tls\.crt}{"\n"}{.metadata.name} {.data.ca\.crt}{"\n"}{end}'; }

# certificate_end BASE64: when the certificate ends, in seconds. The dates are ASCII text in it, the second is the end (RFC 5280,
# 4.1.2.5: up to 2049 with two digits for the year, and then with four). openssl may be missing on a host.
certificate_end() {
    local at
    at=$(base64 -d <<<"$1" 2>/dev/null | sed '/^-/d' | tr -d '\r\n' | base64 -d 2>/dev/null | LC_ALL=C grep -aoE '[0-9]{12,14}Z' | sed -n 2p) || return
    [ -n "$at" ] || return
    [ ${#at} -gt 13 ] || at=20$at
    date -u -d "${at:0:4}-${at:4:2}-${at:6:2} ${at:8:2}:${at:10:2}:${at:12:2}" +%s
}

# check_hubble_certificates: Cilium's chart keeps those that exist until they end.
check_hubble_certificates() {
    local name certificate end reported=' '
    ask 60 "which certificates Hubble has, to the API" hubble_certificates
    while read -r name certificate; do
        [[ -n $certificate && $reported != *" $name "* ]] || continue
        end=$(certificate_end "$certificate") || end=
        [ -n "$end" ] || {
            reported+="$name "
            failed "hubble: the Secret kube-system/$name has no certificate that can be read"
            continue
        }
        [ $((end - $(date +%s))) -lt $((CERTIFICATE_DAYS * 86400)) ] || continue
        reported+="$name "
        failed "hubble: a certificate in the Secret kube-system/$name ends on $(date -u -d "@$end" +%F), and Cilium's chart does not renew it; docs/operate/hubble.md#certificates says how to"
    done <<<"$ANSWER"
}

check_hubble() {
    local part
    has_hubble || return 0
    # Without a single probe the network itself is broken, which has been reported.
    [ -n "$RUNNING" ] || return 0
    learn_agents
    check_hubble_certificates
    for part in $TK_HUBBLE; do
        if check_hubble_part "$part" && [ "$part" = relay ]; then check_relay; fi
    done
    rm -f "$TK_RUN/relay.err"
}
