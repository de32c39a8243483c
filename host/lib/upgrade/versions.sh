# shellcheck shell=bash
# requires: lib/software/containerd-config lib/software/proxy lib/node/kubeadm
# Which versions a node runs, and with which proxy, and whether they are the wanted ones.
# Given (beside theirs): TK_TAILSCALE_VERSION.

on_control_plane() { [ "$TK_ROLE" = control-plane ]; }

kubelet_binary() { kubelet --version 2>/dev/null | sed -n 's/^Kubernetes v//p' | grep .; }
kubectl_binary() { kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v//p' | grep .; }
kubeadm_binary() { kubeadm version -o short 2>/dev/null | sed -n 's/^v//p' | grep .; }
# has_wanted_binary NAME: one that does not say its version is no other version.
has_wanted_binary() {
    command -v "$1" >/dev/null || return
    ask 30 "which version of $1 this host has" "$1_binary"
    [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ]
}
# What the Node object says comes from the kubelet that runs.
running_kubelet() { kubectl_node get node "$TK_NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion}' 2>/dev/null | sed 's/^v//' | grep .; }
# To the end, for what writes into a pipe fails when its reader goes.
tailscale_version() { "$1" --version 2>/dev/null | awk 'NR == 1'; }

# outdated UNIT: whether its process is of a binary that is no longer the one on the disk.
outdated() {
    ask 30 "which process $1 has (systemctl show -p MainPID $1)" systemctl show -p MainPID --value "$1"
    [ "${ANSWER:-0}" != 0 ] && [[ $(readlink "/proc/$ANSWER/exe") == *' (deleted)' ]]
}

# A bundle replaces only what came from a bundle: the host's own containerd or tailscaled is the host's to upgrade.
wanted_containerd() {
    if [ -z "$TK_BUNDLE" ]; then echo "$TK_CONTAINERD_VERSION"; elif owned /usr/local/bin/containerd runtime; then containerd_version "$TK_BUNDLE/bin/containerd"; fi
}
wanted_tailscale() {
    if [ -z "$TK_BUNDLE" ]; then echo "$TK_TAILSCALE_VERSION"; elif owned /usr/local/sbin/tailscaled tailnet; then tailscale_version "$TK_BUNDLE/bin/tailscaled"; fi
}
# has_wanted_version NAME PROGRAM: whether the program is of the version that wanted_NAME prints, as NAME_version reads it; any will
# do where that prints nothing.
has_wanted_version() {
    local wanted
    ask 30 "which version of $2 the bundle has" "wanted_$1"
    wanted=$ANSWER
    [ -n "$wanted" ] || return 0
    command -v "$2" >/dev/null || return
    ask 30 "which version of $2 this host has" "$1_version" "$2"
    [ "$ANSWER" = "$wanted" ]
}
has_wanted_containerd() {
    has_wanted_version containerd containerd || return
    ask_containerd_major
    ask 60 "which configuration containerd is to have" wanted_containerd_config
    [ "$(cat /etc/containerd/config.toml 2>/dev/null)" = "$ANSWER" ] && has_proxy containerd.service "${TK_PROXY:-}" && ! outdated containerd.service
}
has_wanted_tailscale() {
    # A tailscaled on a host of a lan is somebody else's.
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    has_wanted_version tailscale tailscaled && has_proxy tailscaled.service "${TK_PROXY_OPEN:-}" && ! outdated tailscaled.service
}
has_wanted_static_pods() {
    local component
    on_control_plane || return 0
    for component in kube-apiserver kube-controller-manager kube-scheduler; do
        grep -qsE "^ *image: .*/$component:v${TK_KUBERNETES_VERSION//./\\.}\$" "/etc/kubernetes/manifests/$component.yaml" || return
    done
}
has_wanted_binaries() {
    has_wanted_binary kubelet && has_wanted_binary kubectl && has_wanted_binary kubeadm && has_wanted_static_pods
}
# A lost answer is not another version: the node would be drained for nothing.
has_wanted_kubernetes() {
    has_wanted_binaries || return
    ask 60 "which version the cluster has, to the API by the kubelet's identity" cluster_version kubectl_node
    [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ] || return
    ask 60 "which version of the kubelet runs here, to the API by the kubelet's identity" running_kubelet
    [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ]
}
