# shellcheck shell=bash
# What a node is hardened by beside what kubeadm's documents say: the files that API servers read, the declared nodes, the
# kubelet's serving certificate, the modes of files. After node.sh.
# Given: TK_SECURITY (names all that is wanted), and on control planes TK_ENCRYPTION_KEY (its name), TK_ENCRYPTION and
# TK_ENCRYPTION_READ (EncryptionConfigurations, secret: as wanted, and the one that reads what is encrypted and writes in
# plain), TK_AUTHENTICATION, TK_AUDIT_POLICY, TK_ADMISSION (a file each, or empty).

# Named in kubeadm's documents.
SECURITY_FILES=/etc/kubernetes/tailkube
AUDIT_LOGS=/var/log/kubernetes/audit
KUBELET=/var/lib/kubelet
# What this node was secured by last.
SECURED=$TK_STATE/secured

kubectl_security() { kubectl --request-timeout=20s --kubeconfig "${KUBECONFIG_ADMIN:-/etc/kubernetes/admin.conf}" "$@"; }

has_wanted_security() { [ "$(cat "$SECURED" 2>/dev/null)" = "$TK_SECURITY" ]; }
remember_security() {
    own "$SECURED"
    printf '%s\n' "$TK_SECURITY" >"$SECURED"
}

# cluster_note NAME: what the cluster remembers of itself, on a namespace that no node may change.
cluster_note() { kubectl_security get namespace kube-system -o "jsonpath={.metadata.annotations.tailkube\.dev/$1}"; }
write_cluster_note() { kubectl_security annotate --overwrite namespace kube-system "tailkube.dev/$1=$2" >/dev/null; }

# security_file NAME TEXT: for root alone, for one of them holds the key; none for an empty text.
security_file() {
    local path=$SECURITY_FILES/$1
    [ -n "$2" ] && [ "$(cat "$path" 2>/dev/null)" != "$2" ] || return 0
    (umask 077 && mkdir -p "$SECURITY_FILES" && printf '%s\n' "$2" >"$path.new" && mv -f "$path.new" "$path") || fail "cannot write $path: is the disk full or read-only?"
    changed "wrote $path"
}

# install_security_files ENCRYPTION
install_security_files() {
    security_file encryption.yaml "$1"
    security_file authentication.yaml "$TK_AUTHENTICATION"
    security_file admission.yaml "$TK_ADMISSION"
    security_file audit-policy.yaml "$TK_AUDIT_POLICY"
    # The kubelet would make it open to everybody.
    if [ -n "$TK_AUDIT_POLICY" ]; then (umask 077 && mkdir -p "$AUDIT_LOGS"); fi
}

# After the API server no longer asks for them.
forget_security_files() {
    [ -n "$TK_AUTHENTICATION" ] || rm -f "$SECURITY_FILES/authentication.yaml"
    [ -n "$TK_ADMISSION" ] || rm -f "$SECURITY_FILES/admission.yaml"
    [ -n "$TK_AUDIT_POLICY" ] || rm -f "$SECURITY_FILES/audit-policy.yaml"
}

# safe_encryption: no API server may encrypt before all of them can read it. The cluster notes when they can.
safe_encryption() {
    local known
    known=$(cluster_note encryption-key) || fail "the API does not say whether all control planes can read encrypted Secrets"
    if [ "$known" = "$TK_ENCRYPTION_KEY" ]; then printf '%s' "$TK_ENCRYPTION"; else printf '%s' "$TK_ENCRYPTION_READ"; fi
}

# wanted, or reading: able to read what is encrypted, but not to encrypt yet.
encryption_state() { if [ "$(cat "$SECURITY_FILES/encryption.yaml" 2>/dev/null)" = "$TK_ENCRYPTION" ]; then echo wanted; else echo reading; fi; }

# declare_nodes "NAME=IP"...: whose serving certificates may be approved.
declare_nodes() {
    local node data=
    for node in "$@"; do data+="\"${node%%=*}\":\"${node#*=}\","; done
    [ -n "$data" ] || return 0
    kubectl_security -n kube-system create configmap tailkube-nodes >/dev/null 2>&1 || true
    poll 30 kubectl_security -n kube-system patch configmap tailkube-nodes --type merge -p "{\"data\":{${data%,}}}" || fail "cannot declare $* in the ConfigMap kube-system/tailkube-nodes"
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

# Of files that kubeadm and packages leave readable to everybody.
tighten_modes() {
    local file
    # shellcheck disable=SC2046  # paths of units have no spaces
    for file in "$KUBELET/config.yaml" $(systemctl show kubelet.service -p FragmentPath -p DropInPaths --value 2>/dev/null); do
        [ ! -f "$file" ] || [ "$(stat -c %a "$file")" = 600 ] || { chmod 0600 "$file" && changed "mode 600 of $file"; }
    done
}
