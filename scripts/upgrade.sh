# shellcheck shell=bash
# Stage upgrade: a node of the cluster to the wanted versions, one node at a time: control planes in their order, then
# workers; and how it is hardened. After reset.sh, runtime.sh, tailnet.sh, node.sh, drain.sh, etcd.sh, certificates.sh,
# node-security.sh, cluster-notes.sh, security.sh and secure.sh.
# Given (beside theirs): TK_KUBEADM_DOCUMENT (UpgradeConfiguration), TK_CERTIFICATE_RENEWAL (any text; a changed one renews).
#
# A run that is killed leaves its notes behind, and the next one goes through all steps again: each looks first.

# A folder, there from the first change to the last, with a file for each thing that must not be forgotten.
UPGRADING=$TK_STATE/upgrading
note() { : >"$UPGRADING/$1"; }
noted() { [ -e "$UPGRADING/$1" ]; }
done_with() { rm -f "$UPGRADING/$1"; }
# The text for which the certificates were renewed last.
RENEWED=$TK_STATE/certificates-renewed

# What kubeadm's own working copies in /etc/kubernetes/tmp are good for ends with the upgrade: the snapshot is kept elsewhere.
forget_kubeadm_copies() { rm -rf /etc/kubernetes/tmp/kubeadm-*; }

is_control_plane() { [ "$TK_ROLE" = control-plane ]; }

# older A B: whether version A comes before B; a pre-release comes before its release.
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | tr - '~' | sort -V | tr '~' - | head -n 1)" = "$1" ]; }
minor() { cut -d . -f 2 <<<"$1"; }

# Nodes may read it; it holds the version from the moment on that the first control plane has been upgraded.
cluster_version() {
    kubectl_node -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' 2>/dev/null |
        sed -n 's/^kubernetesVersion: *"\{0,1\}v\([^"]*\)"\{0,1\}$/\1/p' | grep .
}
kubelet_binary() { kubelet --version 2>/dev/null | sed -n 's/^Kubernetes v//p'; }
kubectl_binary() { kubectl version --client 2>/dev/null | sed -n 's/^Client Version: v//p'; }
kubeadm_binary() { kubeadm version -o short 2>/dev/null | sed 's/^v//'; }
# What the Node object says comes from the kubelet that runs.
running_kubelet() { kubectl_node get node "$TK_NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion}' 2>/dev/null | sed 's/^v//' | grep .; }
tailscale_version() { "$1" --version 2>/dev/null | head -n 1; }

# outdated UNIT: whether its process is of a binary that is no longer the one on the disk.
outdated() {
    local pid
    pid=$(systemctl show -p MainPID --value "$1" 2>/dev/null)
    [ "${pid:-0}" != 0 ] && [[ $(readlink "/proc/$pid/exe") == *' (deleted)' ]]
}

ours() { grep -qsxF "$2" "$TK_STATE/owned.$1"; }

# A bundle replaces only what came from a bundle: the host's own containerd or tailscaled is the host's to upgrade.
wanted_containerd() {
    if [ -z "$TK_BUNDLE" ]; then echo "$TK_CONTAINERD_VERSION"; elif ours runtime /usr/local/bin/containerd; then containerd_version "$TK_BUNDLE/bin/containerd"; fi
}
wanted_tailscale() {
    if [ -z "$TK_BUNDLE" ]; then echo "$TK_TAILSCALE_VERSION"; elif ours tailnet /usr/local/sbin/tailscaled; then tailscale_version "$TK_BUNDLE/bin/tailscaled"; fi
}
# Its configuration names the pause image, which changes with Kubernetes.
wanted_containerd_config() { if [ "$(containerd_major)" = 1 ]; then printf '%s' "$TK_CONTAINERD_V1"; else printf '%s' "$TK_CONTAINERD_V2"; fi; }

has_wanted_containerd() {
    local wanted
    wanted=$(wanted_containerd)
    [ -z "$wanted" ] || [ "$(containerd_version containerd)" = "$wanted" ] || return
    [ "$(cat /etc/containerd/config.toml 2>/dev/null)" = "$(wanted_containerd_config)" ] && ! outdated containerd.service
}
has_wanted_tailscale() {
    local wanted
    # A tailscaled on a host of a lan is somebody else's.
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    wanted=$(wanted_tailscale)
    { [ -z "$wanted" ] || [ "$(tailscale_version tailscaled)" = "$wanted" ]; } && ! outdated tailscaled.service
}
has_wanted_static_pods() {
    local component
    is_control_plane || return 0
    for component in kube-apiserver kube-controller-manager kube-scheduler; do
        grep -qsE "^ *image: .*/$component:v${TK_KUBERNETES_VERSION//./\\.}\$" "/etc/kubernetes/manifests/$component.yaml" || return
    done
}
has_wanted_binaries() {
    [ "$(kubelet_binary)" = "$TK_KUBERNETES_VERSION" ] && [ "$(kubectl_binary)" = "$TK_KUBERNETES_VERSION" ] &&
        [ "$(kubeadm_binary)" = "$TK_KUBERNETES_VERSION" ] && has_wanted_static_pods
}
has_wanted_kubernetes() {
    has_wanted_binaries && [ "$(cluster_version)" = "$TK_KUBERNETES_VERSION" ] && [ "$(running_kubelet)" = "$TK_KUBERNETES_VERSION" ]
}
has_wanted_renewal() { ! is_control_plane || [ "$(cat "$RENEWED" 2>/dev/null)" = "$TK_CERTIFICATE_RENEWAL" ]; }

# guard: what must not be, before anything is changed.
guard() {
    local cluster=$1 kubelet
    kubelet=$(kubelet_binary)
    if older "$TK_KUBERNETES_VERSION" "$cluster"; then
        fail "the cluster is at Kubernetes $cluster, and tailkube:kubernetesVersion $TK_KUBERNETES_VERSION is a downgrade, which Kubernetes does not know; nothing was changed. Set $cluster or newer"
    elif older "$TK_KUBERNETES_VERSION" "$kubelet"; then
        fail "the kubelet here is of Kubernetes $kubelet, and tailkube:kubernetesVersion $TK_KUBERNETES_VERSION is a downgrade, which Kubernetes does not know; nothing was changed. Set $kubelet or newer"
    elif [ "$(minor "$TK_KUBERNETES_VERSION")" -gt $(($(minor "$cluster") + 1)) ]; then
        fail "the cluster is at Kubernetes $cluster, and tailkube:kubernetesVersion $TK_KUBERNETES_VERSION skips a minor, which Kubernetes does not support; nothing was changed. Go to a version of 1.$(($(minor "$cluster") + 1)) first"
    elif ! is_control_plane && older "$cluster" "$TK_KUBERNETES_VERSION"; then
        fail "the control planes are at Kubernetes $cluster still, and a worker must not be ahead of them; nothing was changed here. Upgrade them to $TK_KUBERNETES_VERSION first"
    fi
}

# One member of etcd is about to stop for a while: with another one gone already the API could go away. After a kill it is
# this one that may not be there.
whole_etcd() { ! is_control_plane || [ -n "$RESUMED" ] || etcd_command ctl --command-timeout=8s endpoint health --cluster; }

# A kubeadm that was killed between taking a manifest away and putting the new one there has left a copy of the old one.
mend_manifests() {
    local component copy
    is_control_plane || return 0
    for component in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        [ ! -e "/etc/kubernetes/manifests/$component.yaml" ] || continue
        # The folders' names sort by time.
        copy=$(find /etc/kubernetes/tmp -path "*/kubeadm-backup-manifests-*/$component.yaml" 2>/dev/null | sort | tail -n 1)
        [ -n "$copy" ] || fail "/etc/kubernetes/manifests/$component.yaml is missing, and kubeadm has left no copy of it"
        put_manifest "$copy" "$component"
        changed "put the manifest of $component back"
    done
}

# fetch: what can be fetched beforehand, so that the node is not kept empty while it downloads, or for a download that fails.
fetch() {
    local package packages=()
    if [ -n "$TK_BUNDLE" ]; then
        import_images
        return
    fi
    if is_control_plane && [ "$TK_IMAGE_PULL_POLICY" != Never ]; then
        timeout 900 kubeadm config images pull --kubernetes-version "v$TK_KUBERNETES_VERSION" --cri-socket unix:///run/containerd/containerd.sock >"$TK_RUN/pull.log" 2>&1 ||
            fail "cannot pull the images of Kubernetes $TK_KUBERNETES_VERSION: $(log_tail "$TK_RUN/pull.log" 3)"
    fi
    for package in kubelet kubectl; do
        [ "$(installed_version "$package")" = "$TK_KUBERNETES_VERSION" ] || packages+=("$package=$TK_KUBERNETES_VERSION-*")
    done
    [ ${#packages[@]} = 0 ] || apt_download "${packages[@]}"
}

# Other control planes whose API server is ready: without one the endpoint stays, for nobody else could have it.
other_api_ready() {
    local address
    for address in $(kubectl_admin get nodes -l node-role.kubernetes.io/control-plane -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}' 2>/dev/null); do
        if [ "$address" != "$TK_NODE_IP" ] && api_ready "$address"; then return 0; fi
    done
    return 1
}

# withdraw_endpoint: clients go to another control plane before this one's API server stops. EXIT gives it back, however
# the stage ends: the unit has it up only while the API server is ready.
withdraw_endpoint() {
    is_control_plane && systemctl is-active --quiet tailkube-endpoint.service || return 0
    other_api_ready || return 0
    systemctl stop tailkube-endpoint.service
    changed "withdrew the endpoint"
    wait_for 60 "no other control plane answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT" endpoint_ready
}

has_endpoint() { ip -o -4 address show dev lo to "$TK_ENDPOINT/32" | grep -q .; }

return_endpoint() {
    is_control_plane && systemctl is-enabled --quiet tailkube-endpoint.service || return 0
    systemctl start tailkube-endpoint.service
    wait_for 120 "the endpoint does not come back to this control plane (journalctl -u tailkube-endpoint)" has_endpoint
}

upgrade_tailscale() {
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    if ! has_wanted_tailscale; then
        # tailscaled makes tailscale0 anew, and Cilium's programs are on the former one.
        note cilium
        if is_control_plane; then yield_etcd_lead; fi
        TK_STAGE=tailnet install_tailscale
        if outdated tailscaled.service; then systemctl restart tailscaled.service; fi
        changed "tailscaled $(tailscale_version tailscaled)"
    fi
    wait_for 90 "tailscaled does not come up (journalctl -u tailscaled)" address_is_up
    wait_for 90 "no API server answers at the endpoint, by the tailnet" endpoint_ready
    if noted cilium; then
        restart_cilium
        done_with cilium
    fi
}

# "uid name readiness" of this node's pod of Cilium; nothing where there is none.
cilium_pod() { kubectl_node -n kube-system get pods -l k8s-app=cilium --field-selector "spec.nodeName=$TK_NODE" -o 'jsonpath={range .items[*]}{.metadata.uid} {.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null; }
# The old one may be listed beside the new one while it ends.
cilium_restarted() {
    local pods
    pods=$(cilium_pod) && ! grep -q "^$1 " <<<"$pods" && grep -q ' True$' <<<"$pods"
}

restart_cilium() {
    local pods uid name
    wait_for 90 "the API does not say which pod of Cilium is on this node" cilium_pod
    pods=$(cilium_pod) && read -r uid name _ <<<"$pods" && [ -n "$uid" ] || return 0
    wait_for 60 "the pod of Cilium on this node cannot be restarted" kubectl_node -n kube-system delete pod "$name" --wait=false
    wait_for 300 "Cilium does not become ready on this node: see 'kubectl -n kube-system logs -l k8s-app=cilium'" cilium_restarted "$uid"
    changed "restarted Cilium on this node"
}

upgrade_containerd() {
    # After a kill nobody knows whether it was restarted since its configuration changed. Containers outlive a restart.
    if has_wanted_containerd && [ -z "$RESUMED" ]; then return 0; fi
    TK_STAGE=runtime install_containerd
    if [ -n "$RESUMED" ] || outdated containerd.service; then systemctl restart containerd.service; fi
    wait_for 60 "containerd does not answer (journalctl -u containerd)" containerd_answers
    changed "containerd $(containerd_version containerd)"
}

kubelet_ready() {
    [ "$(kubectl_node get node "$TK_NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = "v$TK_KUBERNETES_VERSION True" ]
}

api_at_version() { kubectl_admin --server "https://$TK_NODE_IP:$TK_API_PORT" get --raw /version 2>/dev/null | grep -qF "\"v$TK_KUBERNETES_VERSION\""; }

upgrade_kubernetes() {
    local cluster=$1
    if ! is_control_plane; then
        run_kubeadm upgrade node
    elif [ "$cluster" != "$TK_KUBERNETES_VERSION" ] || noted apply; then
        # kubeadm writes the new version to the cluster before it has finished with this node: a killed run has to come back here.
        note apply
        run_kubeadm upgrade apply --yes
    else
        run_kubeadm upgrade node
    fi
    changed "kubeadm upgrade to $TK_KUBERNETES_VERSION"
    TK_STAGE=runtime install_kubernetes kubelet kubectl
    systemctl daemon-reload
    systemctl restart kubelet.service
    done_with apply
}

# The node as it has to be before the next one's turn.
wait_until_healthy() {
    wait_for 300 "the node does not become Ready at $TK_KUBERNETES_VERSION: see 'kubectl describe node $TK_NODE' and 'journalctl -u kubelet' on it" kubelet_ready
    is_control_plane || return 0
    wait_for 300 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
    wait_for 60 "the API server of this control plane is not at $TK_KUBERNETES_VERSION" api_at_version
    wait_for 120 "etcd's member on this control plane is not healthy" etcd_healthy
}

report() {
    local expiry='' encryption=''
    if is_control_plane; then
        expiry=$(certificate_expiry) || exit
        encryption=$(encryption_state)
    fi
    result encryption "$encryption" kubernetes "$(kubelet_binary)" containerd "$(containerd_version containerd)" tailscale "$(tailscale_version tailscaled)" certificateExpiry "$expiry"
}

remember_renewal() {
    is_control_plane || return 0
    own "$RENEWED"
    printf '%s\n' "$TK_CERTIFICATE_RENEWAL" >"$RENEWED"
}

apply() {
    local cluster
    [ -e "$SENTINEL" ] || fail "this host has not joined the cluster, so there is nothing to upgrade"
    # Of a run that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml"
    mend_manifests
    # However the stage ends. It does no harm before its time: the unit itself looks at the API server.
    trap 'if is_control_plane && systemctl is-enabled --quiet tailkube-endpoint.service; then systemctl start --no-block tailkube-endpoint.service; fi' EXIT
    if ! has_wanted_renewal && certificates_expired; then
        # There is no API to ask anything, and none before most of the control planes have been here.
        if ! { has_wanted_binaries && has_wanted_containerd && has_wanted_tailscale; }; then
            fail "this control plane's certificates ended at $(certificate_expiry); renew them first, with a changed tailkube:certificateRenewal and unchanged versions"
        fi
        renew_certificates
        remember_renewal
        report
        return
    fi
    wait_for 180 "no API server answers the kubelet at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT" cluster_version
    cluster=$(cluster_version)
    RESUMED=
    [ ! -e "$UPGRADING" ] || RESUMED=1
    guard "$cluster"
    if [ -z "$RESUMED" ] && has_wanted_kubernetes && has_wanted_containerd && has_wanted_tailscale; then
        # A run may have been killed between its end and this.
        uncordon
        if ! has_wanted_renewal || ! has_wanted_security; then
            wait_for 60 "not all of etcd's members are healthy, and the API might go away; nothing was changed. See '$TK_LIB/etcd ctl endpoint health --cluster'" whole_etcd
            withdraw_endpoint
            if ! has_wanted_security; then secure_node; fi
            if ! has_wanted_renewal; then renew_certificates; fi
            return_endpoint
            forget_kubeadm_copies
            remember_renewal
        fi
        report
        return
    fi
    wait_for 60 "not all of etcd's members are healthy, and the API might go away; nothing was changed. See '$TK_LIB/etcd ctl endpoint health --cluster'" whole_etcd
    own "$UPGRADING"
    mkdir -p "$UPGRADING"
    TK_STAGE=runtime install_kubernetes kubeadm
    fetch
    if is_control_plane && [ "$cluster" != "$TK_KUBERNETES_VERSION" ]; then snapshot_etcd "$cluster"; fi
    drain
    withdraw_endpoint
    upgrade_tailscale
    upgrade_containerd
    # What the cluster's document asks of the new API server has to be there before it starts.
    if is_control_plane; then install_safe_security_files; fi
    if noted apply || ! has_wanted_kubernetes; then
        upgrade_kubernetes "$cluster"
    elif ! has_wanted_renewal; then
        renew_certificates
    fi
    # kubeadm has written its own idea of the kubelet's server.
    follow_endpoint
    wait_until_healthy
    if ! has_wanted_security; then
        secure_node
        follow_endpoint
    fi
    # kubeadm has written the kubelet's configuration anew.
    tighten_modes
    return_endpoint
    forget_kubeadm_copies
    # kubeadm renews the certificates with each upgrade.
    remember_renewal
    rm -rf "$UPGRADING"
    uncordon
    report
}
