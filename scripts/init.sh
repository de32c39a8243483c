# shellcheck shell=bash
# Stage init: `kubeadm init` on the first control plane. The endpoint is already on its loopback and advertised: kubeadm
# itself talks to the API through it.
# Given (beside node.sh's): TK_KUBEADM_DOCUMENT, TK_KUBEADM_SECONDS, TK_MARK.

seed_file=$TK_STATE/join-seed

# kubeadm always leaves a token of 24 hours; joins mint their own.
delete_tokens() {
    local name
    for name in $(kubectl_admin -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name); do
        kubectl_admin -n kube-system delete "$name" >/dev/null
    done
}

apply() {
    # A run that was killed in the middle of kubeadm has left it.
    rm -f "$TK_RUN/kubeadm.yaml"
    if [ -e "$SENTINEL" ] && [ "$(cat "$SENTINEL")" != "$TK_MARK" ]; then
        fail "this host is already a member of a cluster that another stack made ($(cat "$SENTINEL")); destroy that one first"
    fi
    if [ ! -e "$SENTINEL" ]; then
        # Only after an attempt of our own: the kubelet's package brings the folder, too, and what else lies there is not ours.
        if grep -qsxF "$SENTINEL" "$TK_STATE/owned.$TK_STAGE" && [ -n "$(ls -A /etc/kubernetes 2>/dev/null)" ]; then reset_node; fi
        own "$SENTINEL"
        run_kubeadm init --skip-token-print --skip-certificate-key-print
        changed "kubeadm init"
        wait_for 120 "the API server is not ready at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT" api_ready "$TK_ENDPOINT"
        delete_tokens
        follow_endpoint
        own "$seed_file"
        (umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$seed_file")
        advertise_pod_cidr
        mark_joined "$TK_MARK"
        printf '%s\n' "$TK_MARK" >"$SENTINEL.new"
        mv "$SENTINEL.new" "$SENTINEL"
    fi
    result kubeconfig "$(cat /etc/kubernetes/admin.conf)" seed "$(cat "$seed_file")" podCidr "$(pod_cidr)"
}

remove() {
    reset_node
    undo_files
    result
}
