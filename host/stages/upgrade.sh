# shellcheck shell=bash
# requires: lib/upgrade/steps lib/upgrade/drain lib/security/change-hardening lib/upgrade/version-skew
# Stage upgrade: a node of the cluster to the wanted versions, one node at a time: control planes in their order, then
# workers; and how it is hardened, and Kubernetes' own settings.
# Given (beside theirs): TK_KUBEADM_DOCUMENT (UpgradeConfiguration), TK_CERTIFICATE_RENEWAL (any text; a changed one renews).
#
# A run that is killed leaves its notes behind, and the next one goes through all steps again: each looks first.

# A folder, there from the first change to the last, with a file for each thing that must not be forgotten.
UPGRADING=$TK_STATE/upgrading
note() { { : >"$UPGRADING/$1" && to_disk "$UPGRADING/$1"; } || fail "cannot write $UPGRADING/$1: is the disk full or read-only?"; }
noted() { [ -e "$UPGRADING/$1" ]; }
done_with() { rm -f "$UPGRADING/$1" && to_disk "$UPGRADING"; }
# The text for which the certificates were renewed last.
RENEWED=$TK_STATE/certificates-renewed

# What kubeadm's own working copies in /etc/kubernetes/tmp are good for ends with the upgrade: the snapshot is kept elsewhere.
forget_kubeadm_copies() { rm -rf /etc/kubernetes/tmp/kubeadm-*; }

has_wanted_renewal() { ! on_control_plane || [ "$(cat "$RENEWED" 2>/dev/null)" = "$TK_CERTIFICATE_RENEWAL" ]; }

report() {
    local expiry='' encryption='' kubelet containerd tailscale=''
    if on_control_plane; then
        expiry=$(certificate_expiry) || exit
        encryption=$(encryption_state)
    fi
    ask 30 "which version the kubelet has (kubelet --version)" kubelet_binary
    kubelet=$ANSWER
    ask_containerd_version
    containerd=$ANSWER
    # In a lan a host need not have one.
    if command -v tailscaled >/dev/null; then
        ask 30 "which version tailscaled has (tailscaled --version)" tailscale_version tailscaled
        tailscale=$ANSWER
    fi
    result encryption "$encryption" kubernetes "$kubelet" containerd "$containerd" tailscale "$tailscale" certificateExpiry "$expiry"
}

remember_renewal() {
    on_control_plane || return 0
    node_to_disk
    remember "$RENEWED" "$TK_CERTIFICATE_RENEWAL"
}

# The first attempt has changed nothing yet but kubeadm's package and gives the node back; one that is continued may have, and
# leaves it cordoned for the next run.
give_up_before_the_stop() {
    local done="this node's was not stopped, and the node stays cordoned for the next run"
    if [ -z "$RESUMED" ]; then
        rm -rf "$UPGRADING"
        to_disk "$TK_STATE"
        uncordon
        done="this node's was not stopped, and the node is in use again"
    fi
    fail "not all of etcd's members are healthy after the drain, and the API could become unavailable; $done. See '$TK_LIB/etcd ctl endpoint health --cluster'"
}

apply() {
    local cluster
    [ -e "$SENTINEL" ] || fail "this host has not joined the cluster, so there is nothing to upgrade"
    # Of a run that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml"
    mend_manifests
    # However the stage ends. It does no harm before its time: the unit itself looks at the API server.
    trap 'end_settings_change; if gives_endpoint; then systemctl start --no-block tailkube-endpoint.service; fi' EXIT
    if ! has_wanted_renewal && certificates_expired; then
        # There is no API to ask anything, and none before most of the control planes have been here.
        if ! { has_wanted_binaries && has_wanted_containerd && has_wanted_tailscale; }; then
            fail "this control plane's certificates ended at $(certificate_expiry); renew them first, with a changed tailkube:kubernetes.certificateRenewal and unchanged versions"
        fi
        renew_certificates
        remember_renewal
        report
        return
    fi
    ask 180 "which version the cluster has, to the API at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT by the kubelet's identity" cluster_version kubectl_node
    cluster=$ANSWER
    RESUMED=
    [ ! -e "$UPGRADING" ] || RESUMED=1
    check_version_skew "$cluster"
    if [ -z "$RESUMED" ] && has_wanted_kubernetes && has_wanted_containerd && has_wanted_tailscale; then
        # A run may have been killed between its end and this.
        uncordon
        if ! has_wanted_renewal || ! has_wanted_settings; then
            require_etcd "nothing was changed"
            hand_over_endpoint
            if ! has_wanted_settings; then harden_node; fi
            if ! has_wanted_renewal; then
                require_etcd "the certificates were not renewed"
                renew_certificates
            fi
            return_endpoint
            forget_kubeadm_copies
            remember_renewal
        fi
        report
        return
    fi
    require_etcd "nothing was changed"
    own "$UPGRADING"
    mkdir -p "$UPGRADING"
    to_disk "$UPGRADING"
    TK_STAGE=runtime install_kubernetes kubeadm
    fetch
    if on_control_plane && [ "$cluster" != "$TK_KUBERNETES_VERSION" ]; then snapshot_etcd "$cluster"; fi
    drain
    # A drain may take long enough for another member to fail.
    if ! poll 60 whole_etcd; then give_up_before_the_stop; fi
    hand_over_endpoint
    upgrade_tailscale
    upgrade_containerd
    # What the cluster's document asks of the new API server has to be there before it starts.
    if on_control_plane; then
        install_safe_api_server_files
        install_extra_files
    fi
    if noted apply || ! has_wanted_kubernetes; then
        require_etcd "kubeadm was not run, and the node stays cordoned for the next run"
        upgrade_kubernetes "$cluster"
    elif ! has_wanted_renewal; then
        require_etcd "the certificates were not renewed"
        renew_certificates
    fi
    # kubeadm has written its own idea of the kubelet's server.
    follow_endpoint
    wait_until_healthy
    if ! has_wanted_settings; then
        harden_node
        follow_endpoint
    fi
    # kubeadm has written the kubelet's configuration anew.
    tighten_modes
    return_endpoint
    forget_kubeadm_copies
    node_to_disk
    # kubeadm renews the certificates with each upgrade.
    remember_renewal
    rm -rf "$UPGRADING"
    to_disk "$TK_STATE"
    uncordon
    report
}
