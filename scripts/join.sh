# shellcheck shell=bash
# Stage join: a worker joins through the endpoint. Its credentials are valid only while the admission stage on a control
# plane waits for it, so it waits for them before kubeadm starts.
# Given (beside node.sh's and node-security.sh's): TK_KUBEADM_DOCUMENT, TK_DISCOVERY (kubeconfig, secret), TK_KUBEADM_SECONDS,
# TK_MARK, TK_ENDPOINT_ADVICE.

# Named in TK_KUBEADM_DOCUMENT.
DISCOVERY=$TK_RUN/discovery.conf

# The admission waits for who has a token: one that cannot join gives its own back. It may have to wait until it is made valid.
give_up() {
    local end=$((SECONDS + 30))
    if [ -e "$DISCOVERY" ] && [[ $TK_DISCOVERY =~ token:\ *\"?([a-z0-9]{6})\. ]]; then
        until kubectl --request-timeout=10s --kubeconfig "$DISCOVERY" delete --raw "/api/v1/namespaces/kube-system/secrets/bootstrap-token-${BASH_REMATCH[1]}" >/dev/null 2>&1; do
            [ "$SECONDS" -lt "$end" ] || break
            sleep 1
        done
    fi
    rm -f "$DISCOVERY"
}

# own_mark: prints the mark that this host's Node carries; nothing if it has none, and if the cluster does not know the kubelet that an
# earlier attempt has left, or that kubelet has no identity. Any other failure is no answer.
own_mark() {
    local mark said=$TK_RUN/own-mark
    if mark=$(kubectl_node get node "$TK_NODE" --ignore-not-found -o 'jsonpath={.metadata.annotations.tailkube\.dev/joined}' 2>"$said"); then
        printf %s "$mark"
    elif ! grep -qE 'Unauthorized|unknown authority|unable to read client-(cert|key)|failed to find any PEM data|private key does not match' "$said"; then
        cat "$said" >&2
        return 1
    fi
    rm -f "$said"
}

# joined_before: whether an earlier run, which was killed or lost its power, came as far as the mark. The admission counts this
# worker as joined from then on, and lets it in no more.
joined_before() {
    owned "$SENTINEL" && [ -e /etc/kubernetes/kubelet.conf ] || return 1
    ask 90 "whether this host's earlier join came to its end, to the API" own_mark
    [ "$ANSWER" = "$TK_MARK" ]
}

admitted() { kubectl --request-timeout=10s --kubeconfig "$DISCOVERY" get --raw /version; }

apply() {
    # What a run has left that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml" "$DISCOVERY"
    trap give_up EXIT
    [ -e "$SENTINEL" ] || (umask 077 && printf '%s\n' "$TK_DISCOVERY" >"$DISCOVERY")
    refuse_other_stack
    if [ ! -e "$SENTINEL" ]; then
        wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. $TK_ENDPOINT_ADVICE" endpoint_ready
        if ! joined_before; then
            reset_failed_attempt
            own "$SENTINEL"
            wait_for 180 "the cluster does not take this worker's token. The admission on the first control plane makes it valid: its error says why it did not" admitted
            run_kubeadm join
            changed "kubeadm join"
        fi
        tighten_modes
        advertise_pod_cidr
        obtain_serving_certificate
        remember_security
        mark_joined "$TK_MARK"
        write_sentinel "$TK_MARK"
        rm -f "$DISCOVERY"
    fi
    ask_pod_cidr
    result podCidr "$ANSWER"
}
