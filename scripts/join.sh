# shellcheck shell=bash
# Stage join: a further control plane or a worker joins through the endpoint. Its credentials are valid only while the
# admission stage on another control plane waits for it, so kubeadm's own discovery waits for them.
# Given (beside node.sh's): TK_KUBEADM_DOCUMENT (secret), TK_KUBEADM_SECONDS, TK_MARK.

apply() {
    # A run that was killed in the middle of kubeadm has left it.
    rm -f "$TK_RUN/kubeadm.yaml"
    if [ -e "$SENTINEL" ] && [ "$(cat "$SENTINEL")" != "$TK_MARK" ]; then
        fail "this host is already a member of a cluster that another stack made ($(cat "$SENTINEL")); destroy that one first"
    fi
    if [ ! -e "$SENTINEL" ]; then
        # With the endpoint on its own loopback a joiner would talk to its own, closed port, and wait in silence.
        if ip -o -4 address show dev lo to "$TK_ENDPOINT/32" | grep -q .; then
            ip address del "$TK_ENDPOINT/32" dev lo
        fi
        # Only after an attempt of our own: the kubelet's package brings the folder, too, and what else lies there is not ours.
        if grep -qsxF "$SENTINEL" "$TK_STATE/owned.$TK_STAGE" && [ -n "$(ls -A /etc/kubernetes 2>/dev/null)" ]; then reset_node; fi
        own "$SENTINEL"
        wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. Is the route $TK_ENDPOINT/32 approved in the tailnet, and does its policy let ${TK_TAG:-this node} reach it?" api_ready "$TK_ENDPOINT"
        run_kubeadm join
        changed "kubeadm join"
        if [ "$TK_ROLE" = control-plane ]; then
            wait_for 180 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_ENDPOINT_PORT" api_ready "$TK_NODE_IP"
        fi
        follow_endpoint
        advertise_pod_cidr
        mark_joined "$TK_MARK"
        printf '%s\n' "$TK_MARK" >"$SENTINEL.new"
        mv "$SENTINEL.new" "$SENTINEL"
    fi
    result podCidr "$(pod_cidr)"
}

remove() {
    reset_node
    undo_files
    result
}
