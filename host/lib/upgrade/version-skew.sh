# shellcheck shell=bash
# requires: lib/upgrade/versions
# Kubernetes' version skew policy: which versions a node may go to.
# Given: TK_KUBERNETES_VERSION.

# older A B: whether version A comes before B; a pre-release comes before its release.
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | tr - '~' | sort -V | tr '~' - | head -n 1)" = "$1" ]; }
minor() { cut -d . -f 2 <<<"$1"; }
# check_version_skew CLUSTER: fails if this node may not go from where it and the cluster are to TK_KUBERNETES_VERSION.
check_version_skew() {
    local cluster=$1 kubelet
    ask 30 "which version of kubelet this host has" kubelet_binary
    kubelet=$ANSWER
    if older "$TK_KUBERNETES_VERSION" "$cluster"; then
        fail "the cluster is at Kubernetes $cluster, and tailkube:kubernetes.version $TK_KUBERNETES_VERSION is a downgrade, which Kubernetes does not support; nothing was changed. Set $cluster or newer"
    elif older "$TK_KUBERNETES_VERSION" "$kubelet"; then
        fail "the kubelet here is of Kubernetes $kubelet, and tailkube:kubernetes.version $TK_KUBERNETES_VERSION is a downgrade, which Kubernetes does not support; nothing was changed. Set $kubelet or newer"
    elif [ "$(minor "$TK_KUBERNETES_VERSION")" -gt $(($(minor "$cluster") + 1)) ]; then
        fail "the cluster is at Kubernetes $cluster, and tailkube:kubernetes.version $TK_KUBERNETES_VERSION skips a minor, which Kubernetes does not support; nothing was changed. Go to a version of 1.$(($(minor "$cluster") + 1)) first"
    elif ! on_control_plane && older "$cluster" "$TK_KUBERNETES_VERSION"; then
        fail "the control planes are at Kubernetes $cluster still, and a worker must not be ahead of them; nothing was changed here. Upgrade them to $TK_KUBERNETES_VERSION first"
    fi
}
