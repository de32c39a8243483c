# shellcheck shell=bash
# requires: lib/control-plane/etcd-data lib/api
# Certificates of a control plane.

# Without a kubeconfig kubeadm does not ask the cluster for its configuration: the answer must not wait for an API that
# may be down because of just these certificates.
certificate_expirations() { timeout 60 kubeadm certs check-expiration --kubeconfig /dev/null -o json 2>/dev/null | tr -d ' \t\n'; }

# certificate_expiry: when the first of this control plane's certificates ends, as RFC 3339. The authorities, which live
# ten times as long, are not among them; nor is the kubelet's, which it renews itself.
certificate_expiry() {
    local dates
    dates=$(certificate_expirations | sed 's/"certificateAuthorities":.*//' | grep -o '"expirationDate":"[^"]*"' | cut -d '"' -f 4 | sort) ||
        fail "kubeadm cannot say when this control plane's certificates end"
    head -n 1 <<<"$dates"
}

certificates_expired() {
    local expiry
    expiry=$(certificate_expiry) || exit
    # Both are in UTC and of one length, so their order is that of the text.
    [[ $expiry < $(date -u +%Y-%m-%dT%H:%M:%SZ) ]]
}

# running_container NAME: the running container of a static pod; the kubelet keeps an ended one beside it. Prints nothing if none
# runs, and fails if containerd does not answer.
running_container() {
    local containers tasks
    containers=$(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.container.name\"==$1,labels.\"io.kubernetes.pod.namespace\"==kube-system") || return
    tasks=$(ctr -n k8s.io tasks ls) || return
    awk 'NR == FNR {if ($3 == "RUNNING") runs[$1]; next} $1 in runs {print $1; exit}' <(printf '%s\n' "$tasks") <(printf '%s\n' "$containers")
}

# ask_container NAME: ANSWER is its ID; nothing if it does not run.
ask_container() { ask 60 "which container of $1 runs, to containerd" running_container "$1"; }

# container_process ID: the process of a container; nothing if it does not run.
container_process() {
    local tasks
    tasks=$(ctr -n k8s.io tasks ls) || return
    awk -v id="$1" '$1 == id && $3 == "RUNNING" {print $2}' <<<"$tasks"
}

# find_running NAME: for polls: CONTAINER is that container's ID, nothing if none runs; fails if containerd does not answer.
find_running() { CONTAINER=$(running_container "$1") || unanswered "which container of $1 runs, to containerd"; }

restarted() { find_running "$1" && [ -n "$CONTAINER" ] && [ "$CONTAINER" != "$2" ]; }

# kill_container NAME ID: it has the signal, or has ended.
kill_container() {
    ctr -n k8s.io tasks kill --signal SIGTERM "$2" && return
    find_running "$1" && [ "$CONTAINER" != "$2" ]
}

# restart_static_pod NAME: the kubelet starts an ended container again. Its manifest stays in place all the while: one that
# was moved away would be missing for good if this run were killed.
restart_static_pod() {
    local before
    ask_container "$1"
    before=$ANSWER
    [ -z "$before" ] || wait_for 60 "containerd does not stop the container of $1 (journalctl -u containerd)" kill_container "$1" "$before"
    wait_for 180 "the kubelet does not start $1 again (journalctl -u kubelet)" restarted "$1" "$before"
}

# put_manifest FILE NAME: a static pod's manifest, whole at once. The kubelet passes over names with a dot.
put_manifest() {
    local manifests=/etc/kubernetes/manifests
    { cp "$1" "$manifests/.$2.tailkube" && sync -- "$manifests/.$2.tailkube" && mv "$manifests/.$2.tailkube" "$manifests/$2.yaml" && to_disk "$manifests/$2.yaml"; } ||
        fail "cannot write $manifests/$2.yaml: is the disk full or read-only?"
}

# renew_certificates: all of this control plane's certificates anew by the cluster's authorities, and what uses them restarted.
renew_certificates() {
    local log=$TK_RUN/renew.log expired=''
    if certificates_expired; then expired=1; fi
    timeout 120 kubeadm certs renew all >"$log" 2>&1 || fail "kubeadm certs renew: $(log_tail "$log" 3)"
    changed "renewed the control plane's certificates"
    restart_static_pod etcd
    # With certificates that had run out, etcd has a majority only after another control plane has renewed its own.
    if [ -z "$expired" ]; then wait_for 120 "etcd's member on this control plane is not healthy" etcd_healthy; fi
    restart_static_pod kube-apiserver
    restart_static_pod kube-controller-manager
    restart_static_pod kube-scheduler
    if [ -z "$expired" ]; then
        wait_for 180 "the API server of this control plane is not ready at $TK_NODE_IP:$TK_API_PORT" api_ready "$TK_NODE_IP"
    fi
}
