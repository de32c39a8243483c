# shellcheck shell=bash
# requires: lib/upgrade/versions lib/control-plane/certificates lib/security/node-hardening lib/security/api-server-files
# The way of a node that has joined to another hardening, one node at a time, in the stage upgrade.
# Given (beside theirs): TK_KUBEADM_DOCUMENT (UpgradeConfiguration), on control planes TK_CLUSTER_DOCUMENT.

kubeadm_init_phase() { TK_KUBEADM_DOCUMENT=$TK_CLUSTER_DOCUMENT run_kubeadm init phase "$@"; }

came_back() { restarted "$1" "$2" && { [ "$1" != kube-apiserver ] || api_ready "$TK_NODE_IP"; }; }

# harden_static_pod NAME: its manifest as kubeadm makes it of the wanted document. One that does not start gives way to the
# former.
harden_static_pod() {
    local pod=kube-$1 manifest=/etc/kubernetes/manifests/kube-$1.yaml before former=$TK_RUN/former.yaml
    ask_container "$pod"
    before=$ANSWER
    (umask 077 && cp "$manifest" "$former")
    kubeadm_init_phase control-plane "$1"
    if cmp -s "$former" "$manifest"; then
        # Not all of its files are read anew by themselves, and who knows since when they are as they are.
        if [ "$1" = apiserver ]; then
            restart_static_pod kube-apiserver
            wait_for 240 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
        fi
        return 0
    fi
    if ! poll 240 came_back "$pod" "$before"; then
        put_manifest "$former" "$pod"
        fail "$pod does not become ready with the new arguments, so the previous ones were restored; /var/log/pods on this host says why"
    fi
    rm -f "$former"
    changed "$pod has the wanted arguments"
}

harden_kubelet() {
    local config=$KUBELET/config.yaml before
    before=$(cat "$config")
    run_kubeadm upgrade node phase kubelet-config
    tighten_modes
    [ "$(cat "$config")" != "$before" ] || return 0
    systemctl restart kubelet.service
    changed "the kubelet has the wanted configuration"
}

harden_node() {
    if on_control_plane; then
        install_safe_api_server_files
        declare_nodes "$TK_NODE=$TK_NODE_IP"
        kubeadm_init_phase upload-config all
        # Before the API server that insists on it.
        harden_kubelet
        obtain_serving_certificate
        harden_static_pod apiserver
        harden_static_pod controller-manager
        harden_static_pod scheduler
        forget_api_server_files
    else
        harden_kubelet
        obtain_serving_certificate
    fi
    remember_hardening
}
