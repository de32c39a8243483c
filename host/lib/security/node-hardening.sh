# shellcheck shell=bash
# requires: lib/node/kubeadm
# What any node is hardened by beside what kubeadm's documents say: the kubelet's serving certificate, the modes of files.
# Given: TK_SECURITY (names all that is wanted of this node).

KUBELET=/var/lib/kubelet
# What this node was secured by last.
HARDENED=$TK_STATE/secured

has_wanted_hardening() { [ "$(cat "$HARDENED" 2>/dev/null)" = "$TK_SECURITY" ]; }
remember_hardening() {
    node_to_disk
    remember "$HARDENED" "$TK_SECURITY"
}

wants_serving_certificate() { grep -qs '^serverTLSBootstrap: true' "$KUBELET/config.yaml"; }

# Without it the kubelet answers nobody: no logs, no exec, no metrics.
obtain_serving_certificate() {
    local end=$((SECONDS + 240))
    wants_serving_certificate || return 0
    until [ -e "$KUBELET/pki/kubelet-server-current.pem" ]; do
        [ "$SECONDS" -lt "$end" ] || fail "the kubelet has no serving certificate after 240 s: see 'kubectl get csr' and, on a control plane, 'journalctl -t tailkube'"
        # On a worker it is the control planes' to approve.
        if [ -x "$TK_LIB/approve" ]; then "$TK_LIB/approve" >/dev/null 2>&1 || true; fi
        sleep 1
    done
}

# narrow FILE: to mode 600. What it had is recorded first, of the file that a link leads to: a drop-in may be somebody else's.
narrow() {
    local mode path
    [ -f "$1" ] || return 0
    path=$(realpath -e -- "$1") && mode=$(stat -c %a "$path")
    [ "$mode" != 600 ] || return 0
    own "$NARROWED"
    { cut -d ' ' -f 2- "$NARROWED" 2>/dev/null || true; } | grep -xF -- "$path" >/dev/null || record_line "$NARROWED" "$mode $path"
    chmod 0600 "$path"
    changed "mode 600 of $1"
}

# Of files that kubeadm and packages leave readable to everybody.
tighten_modes() {
    local file
    ask 30 "which files kubelet.service has (systemctl show kubelet.service)" systemctl show kubelet.service -p FragmentPath -p DropInPaths --value
    # shellcheck disable=SC2086  # paths of units have no spaces
    for file in "$KUBELET/config.yaml" /etc/cni/net.d/.kubernetes-cni-keep $ANSWER; do
        narrow "$file"
    done
    # kubeadm makes the folder for root alone, but takes one that is there, such as a disk's mount point, as it is.
    if [ "$TK_ROLE" = control-plane ] && [ "$(stat -Lc %a "$ETCD_DATA")" != 700 ]; then
        own "$ETCD_MODE"
        [ -s "$ETCD_MODE" ] || record "$ETCD_MODE" "$(stat -Lc %a "$ETCD_DATA")"
        chmod 0700 "$ETCD_DATA"
        changed "mode 700 of $ETCD_DATA"
    fi
}
