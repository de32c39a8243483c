# shellcheck shell=bash
# requires: lib/security/node-hardening lib/settings/kubelet-settings lib/node/reset
# Stage join: a worker joins through the endpoint. Its credentials are valid only while the admission stage on a control
# plane waits for it, so it waits for them before kubeadm starts.
# Given (beside kubeadm.sh's, node-hardening.sh's and kubelet-settings.sh's): TK_KUBEADM_DOCUMENT, TK_DISCOVERY (kubeconfig, secret), TK_KUBEADM_SECONDS,
# TK_MARK, TK_ENDPOINT_ADVICE, TK_BEAT_SECONDS (how often the admission hears of a join; 0: never).

# Named in TK_KUBEADM_DOCUMENT.
DISCOVERY=$TK_RUN/discovery.conf
kubectl_discovery() { direct kubectl --request-timeout=10s --kubeconfig "$DISCOVERY" "$@"; }

# Sets TOKEN_ID, which is no secret: what stands before the token's dot.
token_id() { [[ $TK_DISCOVERY =~ token:\ *\"?([a-z0-9]{6})\. ]] && TOKEN_ID=${BASH_REMATCH[1]}; }

# The admission waits for who has a token: one that cannot join gives its own back. It may have to wait until it is made valid.
give_up() {
    local end=$((SECONDS + 30))
    if [ -e "$DISCOVERY" ] && token_id; then
        until kubectl_discovery delete --raw "/api/v1/namespaces/kube-system/secrets/bootstrap-token-$TOKEN_ID" >/dev/null 2>&1; do
            [ "$SECONDS" -lt "$end" ] || break
            sleep 1
        done
    fi
    rm -f "$DISCOVERY"
}

admitted() { kubectl_discovery get --raw /version; }

# A host that was cleaned may have left a Node with its membership ID, which the admission would take for a member. This host is none: it
# says so where the admission asks (admit.sh), and waits until that Node is gone.
deny_membership() {
    local said
    said=$(kubectl_discovery -n kube-system patch configmap "tailkube-member-$TOKEN_ID" --type merge -p '{"data":{"member":"no"}}' 2>&1) || [[ $said == *"(NotFound)"* ]]
}
is_forgotten() {
    local mark
    mark=$(kubectl_discovery get node "$TK_NODE" --ignore-not-found -o 'jsonpath={.metadata.annotations.tailkube\.dev/joined}') ||
        unanswered "which membership ID the Node $TK_NODE has, to the API with this worker's token" || return
    [ "$mark" != "$TK_MARK" ]
}

# own_membership_id: prints the membership ID that this host's Node carries; nothing if it has none, and if the cluster does not know the kubelet that an
# earlier attempt has left, or that kubelet has no identity. Any other failure is no answer.
own_membership_id() {
    local mark said=$TK_RUN/own-mark
    if mark=$(kubectl_node get node "$TK_NODE" --ignore-not-found -o 'jsonpath={.metadata.annotations.tailkube\.dev/joined}' 2>"$said"); then
        printf %s "$mark"
    elif ! grep -qE 'Unauthorized|unknown authority|unable to read client-(cert|key)|failed to find any PEM data|private key does not match' "$said"; then
        cat "$said" >&2
        return 1
    fi
    rm -f "$said"
}

# joined_before: whether an earlier run, which was killed or lost its power, came as far as the membership ID. The admission counts this
# worker as joined from then on, and does not let it in again.
joined_before() {
    # A power cut may have left it empty. Then it names no API server to ask.
    owned "$SENTINEL" && grep -qsE '^ *server: ' /etc/kubernetes/kubelet.conf || return 1
    ask 90 "whether this host's earlier join came to its end (the membership ID on its Node), to the API" own_membership_id
    [ "$ANSWER" = "$TK_MARK" ]
}

# keep_saying PID: as long as that process joins this host, the admission hears of it; a process that is killed cannot give up.
keep_saying() {
    while [ -e "$DISCOVERY" ] && kill -0 "$1"; do
        kubectl_discovery -n kube-system patch configmap "tailkube-member-$TOKEN_ID" --type merge -p "{\"data\":{\"beat\":\"$EPOCHSECONDS\"}}" || true
        sleep "$TK_BEAT_SECONDS"
    done
}

# A worker's, which holds nothing: only after an attempt of our own. The kubelet's package brings the folder, too, and what else is
# in it is not ours. A control plane may be a member of etcd by then (control-plane.sh).
reset_failed_attempt() {
    if grep -qsxF "$SENTINEL" "$TK_STATE/owned.$TK_STAGE" && [ -n "$(ls -A /etc/kubernetes 2>/dev/null)" ]; then reset_node; fi
}

join_as_worker() {
    check_kubelet_settings
    reset_failed_attempt
    own "$SENTINEL"
    retry 180 "the cluster does not accept this worker's token. The admission on the first control plane makes it valid: its error says why it did not" admitted
    wait_for 60 "the API does not take the word that this host is no member of the cluster" deny_membership
    wait_for 180 "the cluster still has the Node $TK_NODE of an earlier join of this host. The admission on the first control plane removes it: its error says why it did not" is_forgotten
    # It holds nothing open that another process waits for: neither the connection's output nor the host's lock.
    if [ "$TK_BEAT_SECONDS" != 0 ]; then keep_saying "$$" </dev/null >/dev/null 2>&1 9>&- & fi
    install_kubelet_patch
    run_kubeadm join
    # Before anybody hears that this host is in.
    node_to_disk
    changed "kubeadm join"
}

apply() {
    # What a run has left that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml" "$DISCOVERY"
    trap give_up EXIT
    (umask 077 && printf '%s\n' "$TK_DISCOVERY" >"$DISCOVERY")
    token_id || fail "no token was made for this worker"
    check_stack
    check_role
    if [ ! -e "$SENTINEL" ]; then
        wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. $TK_ENDPOINT_ADVICE" endpoint_ready
        if ! joined_before; then join_as_worker; fi
        tighten_modes
        advertise_pod_cidr
        obtain_serving_certificate
        remember_hardening
    fi
    # Also from one that is in: the admission waits for this word where the token is another than the one that let it in.
    note_membership "$TK_MARK" "tailkube.dev/token=$TOKEN_ID"
    [ -e "$SENTINEL" ] || write_sentinel "$TK_MARK"
    rm -f "$DISCOVERY"
    ask_pod_cidr
    result podCidr "$ANSWER"
}
