# shellcheck shell=bash
# requires: lib/control-plane/endpoint lib/upgrade/versions lib/control-plane/certificates lib/control-plane/etcd-members lib/software/bundle-images lib/software/containerd lib/software/kubernetes-binaries lib/software/tailscale
# The parts of an upgrade, in the order in which upgrade.sh goes through them: each looks whether it is done already.

# others_whole: whether all members of etcd but this node's are healthy and are a majority of the voters. They are asked
# through the API, for etcd on this host does not run.
others_whole() {
    local node health name url
    for node in $(etcd_node_list); do
        [ "$node" != "$TK_NODE" ] || continue
        ETCD_MEMBERS=$(etcd_member_list "$node") || continue
        health=$(etcd_health "$node") || continue
        # Voters and learners alike: one that is missing in the answer has not started.
        while read -r _ name _ _ url; do
            [ "$name" = "$TK_NODE" ] || grep -qxF "$url true" <<<"$health" || return 1
        done <<<"$ETCD_MEMBERS"
        # Of all voters, this one included, for it stays a member.
        majority_without "" "$health"
        return
    done
    return 1
}

# whole_etcd: whether etcd can do without this control plane's member, which is about to stop: with another one gone already the
# API could go away. In an upgrade that is continued, this node's own member may be down, because that upgrade stopped it;
# nothing else may. It may have stopped containerd, too, and only going on starts that again: so where containerd does not say whether
# the member runs, it is enough that all others are healthy and are a majority of the voters without it.
whole_etcd() {
    on_control_plane || return 0
    if etcd_command ctl --command-timeout=8s endpoint health --cluster; then return 0; fi
    [ -n "$RESUMED" ] && ! etcd_healthy && others_whole
}

# require_etcd DONE: right before this control plane's member stops, however long the steps before that took. DONE says in
# the error what this run has done. A member that restarts, or an election, is waited for.
require_etcd() {
    wait_for 60 "not all of etcd's members are healthy, and the API could become unavailable; $1. See '$TK_LIB/etcd ctl endpoint health --cluster'" whole_etcd
}

# A kubeadm that was killed between taking a manifest away and putting the new one there has left a copy of the old one.
mend_manifests() {
    local component copy
    on_control_plane || return 0
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
    if on_control_plane && [ "$TK_IMAGE_PULL_POLICY" != Never ]; then
        # By the cluster's document: it has the image repository, and no kube-proxy, whose image a mirror need not have.
        (umask 077 && printf '%s\n' "$TK_CLUSTER_DOCUMENT" >"$TK_RUN/cluster.yaml")
        timeout 900 kubeadm config images pull --config "$TK_RUN/cluster.yaml" >"$TK_RUN/pull.log" 2>&1 ||
            fail "cannot pull the images of Kubernetes $TK_KUBERNETES_VERSION: $(log_tail "$TK_RUN/pull.log" 3)"
        rm -f "$TK_RUN/cluster.yaml"
    fi
    for package in kubelet kubectl; do
        ask_version "$package"
        [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ] || packages+=("$package=$TK_KUBERNETES_VERSION-*")
    done
    [ ${#packages[@]} = 0 ] || apt_download "${packages[@]}"
}

api_addresses() { kubectl_admin get nodes -l node-role.kubernetes.io/control-plane -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'; }

# any_api_ready ADDRESS...
any_api_ready() {
    local address
    for address in "$@"; do
        if api_ready "$address"; then return 0; fi
    done
    return 1
}

# Other control planes whose API server is ready: without one the endpoint stays, for no other could have it.
other_api_ready() {
    local address others=()
    ask 60 "which addresses the control planes have, to the API" api_addresses
    for address in $ANSWER; do
        [ "$address" = "$TK_NODE_IP" ] || others+=("$address")
    done
    [ ${#others[@]} -gt 0 ] && poll 10 any_api_ready "${others[@]}"
}

# hand_over_endpoint: clients go to another control plane before this one's API server stops. EXIT gives it back, however
# the stage ends: the unit has it up only while the API server is ready.
hand_over_endpoint() {
    on_control_plane && unit_runs tailkube-endpoint.service || return 0
    other_api_ready || return 0
    wait_for 30 "systemctl cannot stop tailkube-endpoint.service, so clients would stay at this control plane; see 'systemctl status tailkube-endpoint'" systemctl stop tailkube-endpoint.service
    changed "withdrew the endpoint"
    wait_for 60 "no other control plane answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT" endpoint_ready
}

# gives_endpoint: whether this host is one that may have the endpoint.
gives_endpoint() { on_control_plane && [ -e /etc/systemd/system/tailkube-endpoint.service ]; }

return_endpoint() {
    gives_endpoint || return 0
    wait_for 30 "systemctl cannot start tailkube-endpoint.service; see 'systemctl status tailkube-endpoint'" systemctl start tailkube-endpoint.service
    # With a lease, it may stay where it is.
    wait_for 120 "the endpoint does not come back (journalctl -u tailkube-endpoint)" has_endpoint
}

upgrade_tailscale() {
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    if ! has_wanted_tailscale; then
        # tailscaled makes tailscale0 anew, and Cilium's programs are on the former one.
        note cilium
        # A member that an upgrade stopped before it was killed leads nothing.
        if on_control_plane && { [ -z "$RESUMED" ] || poll 10 etcd_healthy; }; then yield_etcd_lead; fi
        TK_STAGE=tailnet install_tailscale
        if outdated tailscaled.service; then systemctl restart tailscaled.service; fi
        changed "tailscaled $(tailscale_version tailscaled)"
    fi
    wait_for 90 "tailscaled does not come up, or this node's address does not (journalctl -u tailscaled)" tailnet_address_is_up
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
    pods=$(cilium_pod) || unanswered "which pod of Cilium is on this node, to the API by the kubelet's identity" || return
    ! grep -q "^$1 " <<<"$pods" && grep -q ' True$' <<<"$pods"
}

restart_cilium() {
    local uid name
    ask 90 "which pod of Cilium is on this node, to the API" cilium_pod
    read -r uid name _ <<<"$ANSWER"
    [ -n "$uid" ] || return 0
    wait_for 60 "the pod of Cilium on this node cannot be restarted" kubectl_node -n kube-system delete pod --ignore-not-found "$name" --wait=false
    wait_for 300 "Cilium does not become ready on this node: see 'kubectl -n kube-system logs -l k8s-app=cilium'" cilium_restarted "$uid"
    changed "restarted Cilium on this node"
}

upgrade_containerd() {
    # After a kill nobody knows whether it was restarted since its configuration changed. Containers outlive a restart.
    if has_wanted_containerd && [ -z "$RESUMED" ]; then return 0; fi
    TK_STAGE=runtime install_containerd
    if [ -n "$RESUMED" ] || outdated containerd.service; then
        wait_for 30 "systemctl cannot restart containerd, which still runs at its former version; see 'systemctl status containerd'" systemctl restart containerd.service
    fi
    wait_for 60 "containerd does not answer (journalctl -u containerd)" containerd_answers
    ask_containerd_version
    changed "containerd $ANSWER"
}

kubelet_ready() {
    local said
    said=$(kubectl_node get node "$TK_NODE" -o 'jsonpath={.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type=="Ready")].status}') ||
        unanswered "whether the node $TK_NODE is Ready, to the API by the kubelet's identity" || return
    [ "$said" = "v$TK_KUBERNETES_VERSION True" ]
}

api_at_version() {
    local said server="https://$TK_NODE_IP:$TK_API_PORT"
    said=$(kubectl_admin --server "$server" get --raw /version) || unanswered "which version the API server has ($server/version)" || return
    grep -qF "\"v$TK_KUBERNETES_VERSION\"" <<<"$said"
}

upgrade_kubernetes() {
    local cluster=$1
    if ! on_control_plane; then
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
    daemon_reload
    wait_for 30 "systemctl cannot restart the kubelet, which still runs at its former version; see 'systemctl status kubelet'" systemctl restart kubelet.service
    done_with apply
}

# The node as it has to be before the next one's turn.
wait_until_healthy() {
    wait_for 300 "the node does not become Ready at $TK_KUBERNETES_VERSION: see 'kubectl describe node $TK_NODE' and 'journalctl -u kubelet' on it" kubelet_ready
    on_control_plane || return 0
    wait_for 300 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
    wait_for 60 "the API server of this control plane is not at $TK_KUBERNETES_VERSION" api_at_version
    wait_for 120 "etcd's member on this control plane is not healthy" etcd_healthy
}
