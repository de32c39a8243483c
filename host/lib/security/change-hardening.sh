# shellcheck shell=bash
# requires: lib/upgrade/versions lib/control-plane/certificates lib/security/node-hardening lib/security/api-server-files lib/settings/component-settings lib/settings/kubelet-settings lib/upgrade/steps
# The way of a node that has joined to another hardening, or other settings of Kubernetes, one node at a time, in the stage upgrade.
# Either all of them work in the end, or the node has its former ones again: a user who takes back a bad setting changes nothing
# that would run this stage again.
# Given (beside theirs): TK_KUBEADM_DOCUMENT (UpgradeConfiguration), on control planes TK_CLUSTER_DOCUMENT.

MANIFESTS=/etc/kubernetes/manifests
# The files that the node had, by their paths, from before the first change until all of them are seen to work.
FORMER=$TK_STATE/former

kubeadm_init_phase() { TK_KUBEADM_DOCUMENT=$TK_CLUSTER_DOCUMENT run_kubeadm init phase "$@"; }

has_wanted_settings() {
    has_wanted_hardening && [ ! -e "$FORMER" ] && { ! on_control_plane || has_wanted_extra_files; }
}

# settings_files: those that this stage changes. Not the encryption's, which another stage changes, too.
settings_files() {
    local file
    for file in "$KUBELET/config.yaml" "$MANIFESTS"/{etcd,kube-apiserver,kube-controller-manager,kube-scheduler}.yaml; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
    [ ! -d "$API_SERVER_FILES" ] || find "$API_SERVER_FILES" -type f ! -name encryption.yaml ! -name '*.new' -print
}

# keep_former: what an earlier run has kept that was killed is older, and stays; unless it is of another version of Kubernetes.
keep_former() {
    local file
    [ ! -e "$FORMER" ] || [ "$(cat "$FORMER/version" 2>/dev/null)" != "$TK_KUBERNETES_VERSION" ] || return 0
    rm -rf "$FORMER" "$FORMER.new"
    # shellcheck disable=SC2174  # the folder above is ours
    mkdir -p -m 0700 "$FORMER.new" || fail "cannot write below $TK_STATE: is the disk full or read-only?"
    while IFS= read -r file; do
        (umask 077 && mkdir -p "$FORMER.new$(dirname "$file")" && cp -- "$file" "$FORMER.new$file") || fail "cannot keep a copy of $file below $TK_STATE: is the disk full or read-only?"
    done < <(settings_files)
    { printf '%s\n' "$TK_KUBERNETES_VERSION" >"$FORMER.new/version" && sync -f "$TK_STATE" && mv "$FORMER.new" "$FORMER" && to_disk "$FORMER"; } || fail "cannot write below $TK_STATE: is the disk full or read-only?"
}

forget_former() {
    rm -rf "$FORMER"
    sync -- "$TK_STATE"
}

# is_former FILE
is_former() { cmp -s "$FORMER$1" "$1"; }

# put_former_file FILE: whole, and readable as it was; prints what has to be restarted for it.
put_former_file() {
    local name=${1##*/}
    case $1 in
    "$MANIFESTS"/*)
        put_manifest "$FORMER$1" "${name%.yaml}" || return
        echo "${name%.yaml}"
        ;;
    *)
        put_private "$1" cat -- "$FORMER$1" || return
        if [ "$1" = "$KUBELET/config.yaml" ]; then echo kubelet; else echo files; fi
        ;;
    esac
}

# put_former_files: prints what has to be restarted: kubelet, files (of the API server), or a static pod's name.
put_former_files() {
    local file
    while IFS= read -r file; do
        if [ -e "$FORMER$file" ] || [[ $file != "$API_SERVER_FILES"/* ]]; then continue; fi
        rm -f -- "$file" || return
        rmdir -- "$(dirname "$file")" 2>/dev/null || true
        echo files
    done < <(settings_files)
    while IFS= read -r file; do
        is_former "$file" || put_former_file "$file" || return
    done < <(find "$FORMER" -type f ! -path "$FORMER/version" -printf '/%P\n')
}

# put_former_back: fails if what was restarted for it does not come up.
put_former_back() {
    local back name before
    back=$(put_former_files) || return
    forget_former
    if grep -qxF kubelet <<<"$back"; then
        poll 30 systemctl restart kubelet.service && poll 120 kubelet_answers || return
    fi
    on_control_plane || return 0
    if grep -qxF files <<<"$back" && ! grep -qxF kube-apiserver <<<"$back"; then
        before=$(running_container kube-apiserver) || return
        if [ -n "$before" ]; then poll 60 kill_container kube-apiserver "$before" || return; fi
    fi
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        poll 240 runs_by_manifest "$name" || return
    done
    poll 240 api_ready "$TK_NODE_IP" && poll 120 etcd_healthy
}
runs_by_manifest() { find_running "$1" && [ -n "$CONTAINER" ]; }

# end_settings_change: however the stage ends. Says why, in one line, and what has become of the node.
end_settings_change() {
    local why
    [ -n "$TK_FAILURE" ] || return 0
    why=$(cat "$TK_FAILURE" 2>/dev/null) || why=
    rm -f "$TK_FAILURE"
    TK_FAILURE=/dev/null
    if (put_former_back) >/dev/null 2>&1; then
        why="${why:-it was ended}. The node has its former settings again"
    elif [ -e "$FORMER" ]; then
        why="${why:-it was ended}. Its former settings could not be put back; the next run tries it again"
    else
        why="${why:-it was ended}. The node has its former settings again, but is not healthy with them yet: see /var/log/pods and 'journalctl -u kubelet' on it"
    fi
    TK_FAILURE=
    fail_line "$why"
}

# stays_up POD: a process that does not like an argument may run for a moment.
stays_up() {
    local container
    find_running "$1" || return
    container=$CONTAINER
    [ -n "$container" ] && sleep 10 && find_running "$1" && [ "$CONTAINER" = "$container" ]
}
is_well() { if [ "$1" = kube-apiserver ]; then api_ready "$TK_NODE_IP"; else stays_up "$1"; fi; }
came_back() { restarted "$1" "$2" && is_well "$1"; }

# harden_static_pod NAME: its manifest as kubeadm makes it of the wanted document.
harden_static_pod() {
    local pod=kube-$1 manifest=$MANIFESTS/kube-$1.yaml before text
    ask_container "$pod"
    before=$ANSWER
    text=$(cat "$manifest")
    kubeadm_init_phase control-plane "$1"
    if [ "$(cat "$manifest")" != "$text" ]; then
        poll 240 came_back "$pod" "$before" || fail "$pod does not become ready with the new arguments (waited 240 s$NO_ANSWER); /var/log/pods on this host says why$(component_error "$pod")"
        changed "$pod has the wanted arguments"
    elif restarts_for_files "$1" || ! is_former "$manifest"; then
        # A component reads some of its files only when it starts, and it is not known when that was. Or an earlier run was killed.
        restart_static_pod "$pod"
        poll 240 is_well "$pod" || fail "$pod does not become ready with the new files (waited 240 s$NO_ANSWER); /var/log/pods on this host says why$(component_error "$pod")"
    fi
}

# restarts_for_files NAME: the API server always; the others if any of their files is another one.
restarts_for_files() {
    local folder=$API_SERVER_FILES/$1
    [ "$1" != apiserver ] || return 0
    [ -d "$folder" ] || [ -d "$FORMER$folder" ] || return 1
    ! diff -rq "$folder" "$FORMER$folder" >/dev/null 2>&1
}

etcd_came_back() { restarted etcd "$1" && etcd_healthy; }

harden_etcd() {
    local before text
    if has_wanted_etcd_arguments; then return 0; fi
    require_etcd "this node's was not restarted"
    ask_container etcd
    before=$ANSWER
    text=$(cat "$MANIFESTS/etcd.yaml")
    kubeadm_init_phase etcd local
    if [ "$(cat "$MANIFESTS/etcd.yaml")" != "$text" ]; then
        poll 240 etcd_came_back "$before" || fail "etcd's member on this control plane does not become healthy with the arguments of kubernetes.etcd (waited 240 s$NO_ANSWER)$(component_error etcd)"
        changed "etcd has the wanted arguments"
    fi
    wait_for 120 "not all of etcd's members are healthy after the restart of this one" whole_etcd
    wait_for 240 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
}

kubelet_answers() {
    local said at=http://127.0.0.1:10248/healthz
    said=$(curl -s --max-time 5 --noproxy '*' "$at") || unanswered "whether the kubelet is healthy ($at)" || return
    [ "$said" = ok ]
}
# count_kubelet_restarts: RESTARTS is how often systemd has started it again; fails without a number, which is no answer.
count_kubelet_restarts() {
    { RESTARTS=$(systemctl show -p NRestarts --value kubelet.service) && [[ $RESTARTS =~ ^[0-9]+$ ]]; } ||
        unanswered "how often the kubelet was started again (systemctl show -p NRestarts kubelet.service)"
}
# It answers for a moment before it ends itself for some settings.
kubelet_stays() {
    local before
    count_kubelet_restarts || return
    before=$RESTARTS
    kubelet_answers && sleep 12 && kubelet_answers && count_kubelet_restarts && [ "$RESTARTS" = "$before" ]
}

# kubelet_error: its own words, for a message.
kubelet_error() {
    local said
    said=$(journalctl -u kubelet.service -n 50 -o cat --no-pager 2>/dev/null | grep -E 'command failed|failed to (validate|load|set)' | tail -n 1 | cut -c 1-400) || return 0
    printf ': %s' "$said"
}

harden_kubelet() {
    local config=$KUBELET/config.yaml
    install_kubelet_patch
    run_kubeadm upgrade node phase kubelet-config
    tighten_modes
    if is_former "$config"; then return 0; fi
    wait_for 30 "systemctl cannot restart the kubelet, which still has its former configuration; see 'systemctl status kubelet'" systemctl restart kubelet.service
    poll 120 kubelet_stays || fail "the kubelet does not keep running with the new configuration (waited 120 s$NO_ANSWER); 'journalctl -u kubelet' on this host says why$(kubelet_error)"
    wait_for 120 "the node is not Ready with the kubelet's new configuration: see 'kubectl describe node $TK_NODE'" kubelet_ready
    changed "the kubelet has the wanted configuration"
}

change_settings() {
    if on_control_plane; then
        install_safe_api_server_files
        install_extra_files
        declare_nodes "$TK_NODE=$TK_NODE_IP"
        kubeadm_init_phase upload-config kubelet
        # Before the API server that insists on it.
        harden_kubelet
        obtain_serving_certificate
        harden_etcd
        harden_static_pod apiserver
        harden_static_pod controller-manager
        harden_static_pod scheduler
        # Only what has come up: control planes that join, and upgrades, take it from there.
        kubeadm_init_phase upload-config kubeadm
        forget_api_server_files
        forget_extra_files
    else
        harden_kubelet
        obtain_serving_certificate
    fi
}

harden_node() {
    check_kubelet_settings
    if on_control_plane; then check_arguments; fi
    keep_former
    # From here on end_settings_change says what has failed.
    TK_FAILURE=$TK_RUN/failure
    rm -f "$TK_FAILURE"
    change_settings
    if on_control_plane; then remember_etcd_arguments; fi
    remember_hardening
    TK_FAILURE=
    forget_former
}
