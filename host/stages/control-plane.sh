# shellcheck shell=bash
# requires: lib/cluster/members lib/control-plane/endpoint lib/control-plane/certificates lib/security/node-hardening lib/security/api-server-files lib/security/approve-kubelet-csrs-timer lib/control-plane/init-or-join lib/settings/component-settings lib/settings/kubelet-settings lib/network/tailnet-route-overlap lib/control-plane/etcd-members lib/control-plane/round-trips lib/node/reset
# Stage control-plane: makes this host one of the cluster's control planes. It has the cluster's authorities from the stack's
# state, so it needs no other host's help: it inits the cluster or joins the one that is there.
#
# What a run does, by what an earlier one has left on this host ($ATTEMPT says how far kubeadm came):
#   joined (the sentinel)           only what may be repeated: the endpoint, the operator's commands, the approver; fails where the
#                                   state has other authorities than the cluster
#   nothing                         the host is checked, then claimed; it inits or joins, see init-or-join.sh, tailnet-route-overlap.sh
#                                   and round-trips.sh
#   a finished `kubeadm init`       goes on from there when its API server is ready, else fails: its etcd may be the only one
#   an unfinished `kubeadm init`    when its API server has stored something: goes on with it, and nothing is reset; when etcd on this
#                                   host does not answer: fails; else reset, and again
#   a `kubeadm join`, finished or not, or an attempt of an older release that came as far as etcd: another control plane's etcd is
#   asked for this host's member:
#     no answer                     fails, and nothing is reset
#     none                          reset, and again
#     a learner                     it leaves etcd, then reset, and again
#     a voter, host healthy         goes on from there
#     a voter, host not healthy     it leaves etcd, if the others keep their majority, then reset, and again; else fails
#   an attempt of an older release that never came as far as etcd: reset, and again
#
# Given (beside those of kubeadm.sh, init-or-join.sh, round-trips.sh, tailnet-route-overlap.sh, endpoint.sh, etcd-data.sh, node-hardening.sh,
# api-server-files.sh, component-settings.sh, kubelet-settings.sh and approve-kubelet-csrs-timer.sh): TK_MARK, TK_KUBERNETES_VERSION, TK_INIT_DOCUMENT, TK_JOIN_DOCUMENT,
# TK_ENDPOINT_ADVICE, TK_HOST_CHECKS (text of /usr/local/lib/tailkube/checks), TK_RESTORE (a snapshot of etcd on this host, or
# empty), and the authorities (secret): TK_CA_CRT, TK_CA_KEY, TK_ETCD_CA_CRT, TK_ETCD_CA_KEY, TK_FRONT_PROXY_CA_CRT,
# TK_FRONT_PROXY_CA_KEY, TK_SA_PUB, TK_SA_KEY.

PKI=/etc/kubernetes/pki
# Named in TK_JOIN_DOCUMENT.
DISCOVERY=$TK_RUN/discovery.conf
# How far kubeadm came: init, init-done, join or join-done.
ATTEMPT=$TK_STATE/attempt

# pki_file PATH MODE TEXT
pki_file() {
    (umask 077 && printf '%s\n' "$3" >"$PKI/$1.new" && sync -- "$PKI/$1.new" && chmod "$2" "$PKI/$1.new" && mv -f "$PKI/$1.new" "$PKI/$1") || fail "cannot write $PKI/$1: is the disk full or read-only?"
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

# check_kubernetes_folder: fails if another cluster's files are where kubeadm writes, which takes what is there for its own.
check_kubernetes_folder() {
    local found
    found=$(find /etc/kubernetes -mindepth 1 \( -path '/etc/kubernetes/*.conf' -o -path '/etc/kubernetes/pki/*' -o -path '/etc/kubernetes/manifests/*' \) ! -type d ! -name .kubelet-keep -printf '%p\n' 2>/dev/null | sort | awk 'NR <= 3' | paste -sd' ' -) || true
    [ -z "$found" ] || fail "/etc/kubernetes on this host has files of another cluster ($found). A control plane needs a host without them. Move them away if that cluster is gone, and run again"
}

# The seed is made with the authorities: where they are not the cluster's, the key for its Secrets is not, either.
check_authority() {
    local authority
    [ -e "$SENTINEL" ] || return 0
    authority=$(cat "$PKI/ca.crt" 2>/dev/null) ||
        fail "$PKI/ca.crt, the certificate of this cluster's authority, cannot be read on this host. Copy it from another control plane, and run again"
    [[ $authority == *"$TK_CA_CRT"* ]] ||
        fail "the stack's state has other authorities than the cluster that this host is in ($PKI/ca.crt), so nothing was changed: the resource cluster-authorities has left the state and was made again. Import a copy of the state from before (docs/operate/pulumi.md), or destroy the stack"
}

note_attempt() { remember "$ATTEMPT" "$1"; }

note_finished() {
    node_to_disk
    note_attempt "$1"
}

# attempt: how far an earlier run came; `unknown` for one of an older release.
attempt() {
    if [ -s "$ATTEMPT" ]; then
        cat "$ATTEMPT"
    elif owned "$SENTINEL" && [ -n "$(find /etc/kubernetes -mindepth 1 ! -type d ! -name .kubelet-keep -print -quit 2>/dev/null)" ]; then
        echo unknown
    else
        echo nothing
    fi
}

# The note goes last: a reset that was killed is repeated.
start_again() {
    reset_node
    rm -f "$ATTEMPT"
    sync -- "$TK_STATE"
}

# kubeadm always leaves a token of 24 hours; workers' joins bring their own.
delete_tokens() {
    local name
    ask 60 "which bootstrap tokens there are, to the API" kubectl_cluster -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name
    # shellcheck disable=SC2153  # ask sets it
    for name in $ANSWER; do
        kubectl_cluster -n kube-system delete "$name" --ignore-not-found >/dev/null || fail "cannot delete the bootstrap token $name"
    done
}

install_settings() {
    install_extra_files
    install_kubelet_patch
}

found_cluster() {
    local options=()
    claim_etcd_data
    note_attempt init
    if [ -n "$TK_RESTORE" ]; then
        etcd_restore "$TK_RESTORE" "$TK_INIT_DOCUMENT"
        options=(--ignore-preflight-errors=DirAvailable--var-lib-etcd)
    fi
    # It is alone, so no other control plane has to learn to read what it encrypts.
    install_api_server_files "$TK_ENCRYPTION"
    install_settings
    # kubeadm talks to the API through the endpoint.
    install_endpoint
    TK_KUBEADM_DOCUMENT=$TK_INIT_DOCUMENT run_kubeadm init --skip-token-print --skip-certificate-key-print "${options[@]}"
    note_finished init-done
    forget_new_authorities
    changed "kubeadm init"
    finish_init
}

finish_init() {
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

use_minted_credentials() {
    mint_credentials
    # shellcheck disable=SC2034  # etcd-members.sh reads it
    KUBECONFIG_ADMIN=$DISCOVERY
}

use_own_credentials() {
    rm -f "$DISCOVERY"
    # shellcheck disable=SC2034  # etcd-members.sh reads it
    KUBECONFIG_ADMIN=/etc/kubernetes/admin.conf
}

# What an earlier machine of this name, or a killed attempt of this one, has left in the cluster.
forget_former_self() {
    reject_foreign_node "$TK_NODE" "$TK_NODE_IP"
    forget_etcd_member "$TK_NODE" "$TK_NODE_IP"
    membership_id_of "$TK_NODE"
    [ "$ANSWER" = "$TK_MARK" ] || forget_node "$TK_NODE"
}

# endpoint_owner: `cluster` or `foreign`; fails while there is no clear answer.
endpoint_owner() {
    local answer
    answer=$(api_at "$TK_ENDPOINT" "$TK_ENDPOINT_PORT")
    case $answer in cluster | foreign) echo "$answer" ;; *) return 1 ;; esac
}

join_cluster() {
    withdraw_endpoint
    wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. $TK_ENDPOINT_ADVICE If every control plane is lost, see docs/operate/disaster.md" endpoint_ready
    ask 60 "whether the API server at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT is this cluster's" endpoint_owner
    [ "$ANSWER" = cluster ] || fail "another cluster answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT: its certificate is not from this stack's authority. Choose another network.number, or another endpoint.address and network.podCidr, for this stack (both are advertised to all devices of a tailnet), or destroy the other cluster"
    use_minted_credentials
    ask 60 "which version of Kubernetes the cluster runs (ConfigMap kube-system/kubeadm-config), to the API" cluster_version kubectl_cluster
    [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ] || fail "the cluster runs Kubernetes $ANSWER, and $TK_KUBERNETES_VERSION cannot join it. Upgrade first, and add or replace control planes after"
    ask_round_trips
    reject_far "This host did not join the cluster"
    forget_former_self
    install_safe_api_server_files
    install_settings
    claim_etcd_data
    # Before etcd can have it: a join that is killed and then undeclared is taken out by this record (removed-nodes.sh).
    declare_nodes "$TK_NODE=$TK_NODE_IP"
    # From here on this host may become a member of etcd.
    note_attempt join
    forget_new_authorities
    # A new machine may have another address, and kubeadm takes the names for its certificate from there.
    TK_KUBEADM_DOCUMENT=$TK_INIT_DOCUMENT run_kubeadm init phase upload-config kubeadm --kubeconfig "$DISCOVERY"
    TK_KUBEADM_DOCUMENT=$TK_JOIN_DOCUMENT run_kubeadm join
    note_finished join-done
    use_own_credentials
    changed "kubeadm join"
    wait_for 180 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
}

# etcd, the API server and the kubelet's identity are there, as they were left.
start_kubelet() {
    [ -e /etc/kubernetes/manifests/etcd.yaml ] || return 0
    systemctl start containerd kubelet 2>/dev/null || true
}

node_healthy() {
    api_ready "$TK_NODE_IP" && [ -s /etc/kubernetes/admin.conf ] && [ -s /etc/kubernetes/kubelet.conf ] && kubectl_node get node "$TK_NODE"
}

# stored_keys: whether etcd on this host holds anything of Kubernetes', in a line for each key; no more than one.
stored_keys() { etcd_command ctl --command-timeout=8s get /registry/ --prefix --keys-only --limit=1; }

# take_up_init: in RESUMED, 1 if this host is a control plane now. Else it is reset: no API server has ever stored anything here.
take_up_init() {
    RESUMED=
    # Without all of these etcd has never run here, except from a snapshot that is restored again; or it ran for a moment, before a
    # power cut took what had just been written.
    if [ ! -e "$ETCD_DATA/member" ] || [ ! -s /etc/kubernetes/manifests/etcd.yaml ] || [ ! -s "$KUBELET/config.yaml" ]; then
        start_again
        return
    fi
    start_kubelet
    ask 300 "whether an API server has stored anything, to etcd on this host" stored_keys
    if [ -z "${ANSWER//[[:space:]]/}" ]; then
        start_again
        return
    fi
    install_api_server_files "$TK_ENCRYPTION"
    install_settings
    install_endpoint
    # Each of kubeadm's phases takes what is there; only the checks before them want an empty host.
    TK_KUBEADM_DOCUMENT=$TK_INIT_DOCUMENT run_kubeadm init --skip-phases=preflight,addon/kube-proxy --skip-token-print --skip-certificate-key-print
    note_finished init-done
    forget_new_authorities
    changed "went on with kubeadm init"
    finish_init
    RESUMED=1
}

resume_init() {
    start_kubelet
    install_endpoint
    wait_for 240 "kubeadm init had finished on this host, but its API server does not become ready at $TK_NODE_IP:$TK_API_PORT; nothing was reset, for its etcd may hold the only copy of the cluster's state. /var/log/pods and 'journalctl -u kubelet' on this host say why. If nothing in it is of use, destroy the stack" node_healthy
    changed "went on after kubeadm init"
    finish_init
}

# kubeadm may have been cut off after etcd took this host for a voter; what it does after that is repeated.
resume_join() {
    if [ "$1" != join-done ]; then
        TK_KUBEADM_DOCUMENT=$TK_JOIN_DOCUMENT run_kubeadm join phase control-plane-join mark-control-plane
        # With credentials that kubeadm takes back when it ends.
        rm -f /etc/kubernetes/bootstrap-kubelet.conf
        note_finished join-done
    fi
    use_own_credentials
    changed "went on after the join of etcd"
}

# never_in_etcd: etcd has never run here; kubeadm writes its manifest after it has announced the member.
never_in_etcd() { [ ! -e /etc/kubernetes/manifests/etcd.yaml ] && [ ! -e "$ETCD_DATA/member" ]; }

# take_up_join ATTEMPT: in RESUMED, 1 if this host is a control plane now. Else it is reset, and no member of etcd.
take_up_join() {
    local learner
    RESUMED=
    # Without it a second member would have no majority, and nothing an answer.
    start_kubelet
    # A kill may have cut it short; what is there is from the same authority.
    install_pki
    use_minted_credentials
    # With two members nothing answers until this host's etcd is back, which takes minutes on one that has just booted.
    poll 300 etcd_node_list || true
    find_member "$TK_NODE" "$TK_NODE_IP"
    if [ -n "$MEMBER_ID" ]; then
        # kubeadm announced this host when the folder was empty. An older release has made no record of that, and without it a reset
        # would leave the data.
        own_etcd_data
        learner=$(awk -v id="$MEMBER_ID" '$1 == id {print $3}' <<<"$ETCD_MEMBERS")
        if [ "$learner" = false ] && poll 240 node_healthy; then
            resume_join "$1"
            RESUMED=1
            return
        fi
        forget_etcd_member "$TK_NODE" "$TK_NODE_IP"
    fi
    use_own_credentials
    start_again
}

become_control_plane() {
    local before
    before=$(attempt)
    case $before in
    init-done)
        resume_init
        return
        ;;
    init)
        take_up_init
        [ -z "$RESUMED" ] || return 0
        ;;
    nothing) ;;
    *)
        if [ "$before" = unknown ] && never_in_etcd; then
            start_again
        else
            take_up_join "$before"
            [ -z "$RESUMED" ] || return 0
        fi
        ;;
    esac
    # All checks come before the first claim: what is not this program's is refused by every run alike.
    check_kubernetes_folder
    check_etcd_data
    check_kubelet_settings
    own "$SENTINEL"
    install_pki
    decide_init
    if [ "$INITS" = 1 ]; then
        check_route_overlap
        measure_round_trips "$(cat "$PEERS")"
        # A cluster that comes back from a snapshot worked before.
        [ -n "$TK_RESTORE" ] || reject_far "No cluster was created"
        found_cluster
    else
        join_cluster
    fi
}

apply() {
    local kubeconfig expiry state cidr
    # What a run has left that was killed in the middle of kubeadm.
    rm -f "$TK_RUN/kubeadm.yaml" "$DISCOVERY"
    trap 'rm -f "$DISCOVERY"' EXIT
    check_stack
    check_role
    check_authority
    if [ ! -e "$SENTINEL" ]; then
        become_control_plane
        tighten_modes
        follow_endpoint
        install_approver
        declare_nodes "$TK_NODE=$TK_NODE_IP"
        advertise_pod_cidr
        obtain_serving_certificate
        remember_etcd_arguments
        remember_hardening
        note_membership "$TK_MARK"
        write_sentinel "$TK_MARK"
        rm -f "$ATTEMPT"
    fi
    # Of a control plane that an older release has made: etcd's data is the cluster's.
    own_etcd_data
    install_endpoint
    install_etcd_command
    # The operator's other command, checks, with the node's name after its first line.
    install_text "$TK_LIB/checks" 0755 "${TK_HOST_CHECKS%%$'\n'*}"$'\n'"TK_NODE='$TK_NODE'"$'\n'"${TK_HOST_CHECKS#*$'\n'}" || true
    install_approver
    state=$(encryption_state)
    kubeconfig=$(cat /etc/kubernetes/admin.conf)
    expiry=$(certificate_expiry)
    ask_pod_cidr
    cidr=$ANSWER
    [ -n "$ROUND_TRIPS" ] || try_round_trips
    result encryption "$state" kubeconfig "$kubeconfig" podCidr "$cidr" certificateExpiry "$expiry" roundTrips "$ROUND_TRIPS"
}
