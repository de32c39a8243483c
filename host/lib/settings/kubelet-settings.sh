# shellcheck shell=bash
# requires: lib/records/ownership lib/messages
# The kubelet's own settings, as a node has them in the config: kubeadm merges them into the cluster's KubeletConfiguration.
# Given: TK_KUBELET_PATCH (fields of KubeletConfiguration, YAML, or empty), TK_KUBELET_CHECK (documents in which kubeadm checks
# them, or empty).

# Named in kubeadm's documents.
KUBELET_PATCH=/etc/kubernetes/tailkube/patches/kubeletconfiguration+merge.yaml

install_kubelet_patch() {
    if [ -z "$TK_KUBELET_PATCH" ]; then
        [ -e "$KUBELET_PATCH" ] || return 0
        rm -f "$KUBELET_PATCH"
        rmdir -- "$(dirname "$KUBELET_PATCH")" 2>/dev/null || true
        changed "removed $KUBELET_PATCH"
        return
    fi
    [ "$(cat "$KUBELET_PATCH" 2>/dev/null)" != "$TK_KUBELET_PATCH" ] || return 0
    put_private "$KUBELET_PATCH" printf '%s\n' "$TK_KUBELET_PATCH" || fail "cannot write $KUBELET_PATCH: is the disk full or read-only?"
    changed "wrote $KUBELET_PATCH"
}

# check_kubelet_settings: before any change. The kubelet itself passes over a field that it does not know.
check_kubelet_settings() {
    local document=$TK_RUN/kubelet-check.yaml said
    [ -n "$TK_KUBELET_CHECK" ] || return 0
    (umask 077 && printf '%s\n' "$TK_KUBELET_CHECK" >"$document")
    if ! said=$(timeout 60 kubeadm config validate --config "$document" 2>&1); then
        rm -f "$document"
        said=$(sed -n 's/^error: //; s/^error unmarshaling configuration .*"}: //; 1p' <<<"$said")
        fail "kubeadm rejects this node's kubelet settings, so nothing was changed: ${said:-it gives no reason}. Correct kubernetes.kubelet or the kubelet of this node in nodes"
    fi
    rm -f "$document"
}
