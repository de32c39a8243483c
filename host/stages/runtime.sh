# shellcheck shell=bash
# requires: lib/runtime lib/registries
# Stage runtime: gives a host its container runtime, kubelet and kubeadm. A node that has joined keeps what it has.

apply() {
    local version
    # What a node of a cluster runs is changed by the stage upgrade, one node at a time; here all hosts go at once.
    if [ ! -e "$SENTINEL" ]; then
        claim_host
        kernel_settings
        install_registries
        install_containerd
        install_kubernetes
    else
        install_registries
    fi
    import_images
    join_nonce
    ask 30 "which version containerd has (containerd --version)" containerd --version
    version=$(awk '{print $3}' <<<"$ANSWER")
    result containerd "$version" kubeadm "$(kubeadm version -o short)" nonce "$NONCE"
}
