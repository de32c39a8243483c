# shellcheck shell=bash
# Stage control-plane: makes this host one of the cluster's control planes, whichever. It has the cluster's authorities
# from the stack's state, so it needs no other host's help: it founds the cluster or joins the one that is there.
# Given (beside node.sh's, endpoint.sh's, etcd.sh's, node-security.sh's, security.sh's and approver.sh's): TK_MARK, TK_FOUNDER (the mark of who may found), TK_KUBERNETES_VERSION,
# TK_INIT_DOCUMENT, TK_JOIN_DOCUMENT, TK_ENDPOINT_ADVICE, TK_RESTORE (a snapshot of etcd on this host, or empty), and the authorities (secret): TK_CA_CRT, TK_CA_KEY, TK_ETCD_CA_CRT, TK_ETCD_CA_KEY,
# TK_FRONT_PROXY_CA_CRT, TK_FRONT_PROXY_CA_KEY, TK_SA_PUB, TK_SA_KEY.

PKI=/etc/kubernetes/pki
# Named in TK_JOIN_DOCUMENT.
DISCOVERY=$TK_RUN/discovery.conf

# pki_file PATH MODE TEXT
pki_file() {
    (umask 077 && printf '%s\n' "$3" >"$PKI/$1.new" && chmod "$2" "$PKI/$1.new" && mv -f "$PKI/$1.new" "$PKI/$1") || fail "cannot write $PKI/$1: is the disk full or read-only?"
}

install_pki() {
    mkdir -p "$PKI/etcd"
    pki_file ca.crt 0644 "$TK_CA_CRT"
    pki_file ca.key 0600 "$TK_CA_KEY"
    pki_file etcd/ca.crt 0644 "$TK_ETCD_CA_CRT"
    pki_file etcd/ca.key 0600 "$TK_ETCD_CA_KEY"
    pki_file front-proxy-ca.crt 0644 "$TK_FRONT_PROXY_CA_CRT"
    pki_file front-proxy-ca.key 0600 "$TK_FRONT_PROXY_CA_KEY"
    pki_file sa.pub 0600 "$TK_SA_PUB"
    pki_file sa.key 0600 "$TK_SA_KEY"
}

# The endpoint answers, under this cluster's authority.
cluster_answers() { [ "$(curl -s --cacert "$PKI/ca.crt" --max-time 5 --noproxy '*' "https://$TK_ENDPOINT:$TK_ENDPOINT_PORT/readyz")" = ok ]; }

# kubeadm always leaves a token of 24 hours; workers' joins bring their own.
delete_tokens() {
    local name
    for name in $(kubectl_cluster -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name); do
        kubectl_cluster -n kube-system delete "$name" >/dev/null
    done
}

found_cluster() {
    local options=()
    if [ -n "$TK_RESTORE" ]; then
        etcd_restore "$TK_RESTORE"
        options=(--ignore-preflight-errors=DirAvailable--var-lib-etcd)
    fi
    # It is alone, so nobody has to learn to read what it encrypts.
    install_security_files "$TK_ENCRYPTION"
    # kubeadm talks to the API through the endpoint.
    install_endpoint
    TK_KUBEADM_DOCUMENT=$TK_INIT_DOCUMENT run_kubeadm init --skip-token-print --skip-certificate-key-print "${options[@]}"
    changed "kubeadm init"
    wait_for 120 "the API server is not ready at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT" endpoint_ready
    delete_tokens
    wait_for 30 "the API does not take a note on the namespace kube-system" write_cluster_note encryption-key "$TK_ENCRYPTION_KEY"
}

# By the authority itself: a certificate of the administrators' group that is good for an hour and lives in /run.
mint_credentials() {
    local document=$TK_RUN/kubeadm.yaml
    (umask 077 && printf '%s\n' "$TK_INIT_DOCUMENT" >"$document")
    (umask 077 && kubeadm kubeconfig user --client-name "tailkube-$TK_NODE" --org kubeadm:cluster-admins --validity-period 1h --config "$document" >"$DISCOVERY" 2>>"$KUBEADM_LOG") ||
        fail "kubeadm could not make credentials for the join: $(log_tail "$KUBEADM_LOG" 3)"
    rm -f "$document"
}

# What an earlier machine of this name, or a killed attempt of this one, has left in the cluster.
forget_former_self() {
    # A member that never started has no name yet: kubeadm itself takes such a learner up again by its address.
    forget_etcd_member "$TK_NODE"
    mark_of "$TK_NODE"
    [ "$ANSWER" = "$TK_MARK" ] || forget_node "$TK_NODE"
}

cluster_version() { kubectl_cluster -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' 2>/dev/null | sed -n 's/^kubernetesVersion: v//p'; }

join_cluster() {
    local version
    withdraw_endpoint
    wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. $TK_ENDPOINT_ADVICE If every control plane is lost, see docs/disaster.md" endpoint_ready
    cluster_answers || fail "another cluster answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT: its certificate is not from this stack's authority. Choose another endpoint, or take the other cluster away from it"
    mint_credentials
    # shellcheck disable=SC2034  # members.sh reads it
    KUBECONFIG_ADMIN=$DISCOVERY
    version=$(cluster_version)
    [ "$version" = "$TK_KUBERNETES_VERSION" ] || fail "the cluster runs Kubernetes ${version:-of an unknown version}, and $TK_KUBERNETES_VERSION cannot join it. Upgrade first, and add or replace control planes after"
    forget_former_self
    install_safe_security_files
    # A new machine may be called by another address, and kubeadm takes the names for its certificate from there.
    TK_KUBEADM_DOCUMENT=$TK_INIT_DOCUMENT run_kubeadm init phase upload-config kubeadm --kubeconfig "$DISCOVERY"
    TK_KUBEADM_DOCUMENT=$TK_JOIN_DOCUMENT run_kubeadm join
    rm -f "$DISCOVERY"
    # shellcheck disable=SC2034  # members.sh reads it
    KUBECONFIG_ADMIN=/etc/kubernetes/admin.conf
    changed "kubeadm join"
    wait_for 180 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
}

# Only who the state says has founded the cluster, or who has its snapshot, and only while nobody answers: a founder that
# was made anew joins.
may_found() { { [ "$TK_MARK" = "$TK_FOUNDER" ] || [ -n "$TK_RESTORE" ]; } && ! endpoint_ready; }

apply() {
    # What a run has left that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml" "$DISCOVERY"
    trap 'rm -f "$DISCOVERY"' EXIT
    refuse_other_stack
    if [ ! -e "$SENTINEL" ]; then
        reset_failed_attempt
        own "$SENTINEL"
        install_pki
        if may_found; then found_cluster; else join_cluster; fi
        tighten_modes
        follow_endpoint
        install_approver
        declare_nodes "$TK_NODE=$TK_NODE_IP"
        advertise_pod_cidr
        obtain_serving_certificate
        remember_security
        mark_joined "$TK_MARK"
        write_sentinel "$TK_MARK"
    fi
    install_endpoint
    install_etcd_command
    install_approver
    result encryption "$(encryption_state)" kubeconfig "$(cat /etc/kubernetes/admin.conf)" podCidr "$(pod_cidr)" certificateExpiry "$(certificate_expiry)"
}
