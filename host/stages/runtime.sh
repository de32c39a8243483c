# shellcheck shell=bash
# requires: lib/software/registries lib/software/bundle-images lib/node/claim-host lib/software/containerd lib/node/kernel-settings lib/software/kubernetes-binaries
# Stage runtime: gives a host its container runtime, kubelet and kubeadm. A node that has joined keeps what it has.

# A random text that this host keeps until it is undone: the worker's bootstrap token is derived from it, among others, so that
# a token that was valid once is of no use to a host that is added again.
join_nonce() {
    local path=$TK_STATE/join-nonce
    NONCE=
    [ "$TK_ROLE" = worker ] || return 0
    [ -s "$path" ] || remember "$path" "$(od -An -N16 -v -tx1 /dev/urandom | tr -d ' \n')"
    NONCE=$(cat "$path")
    [[ $NONCE =~ ^[0-9a-f]{32}$ ]] || fail "$path does not hold 32 hexadecimal digits. Remove the file and run again"
}

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
    ask_kubeadm_version
    result containerd "$version" kubeadm "$ANSWER" nonce "$NONCE"
}
