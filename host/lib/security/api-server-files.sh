# shellcheck shell=bash
# requires: lib/cluster/notes lib/records/ownership
# The files that a control plane's API server reads beside its certificates.
# Given: TK_ENCRYPTION_KEY (its name), TK_ENCRYPTION and TK_ENCRYPTION_READ (EncryptionConfigurations, secret: as wanted,
# and the one that reads what is encrypted and writes in plain), TK_AUTHENTICATION, TK_AUDIT_POLICY, TK_ADMISSION (a file
# each, or empty).

# Named in kubeadm's documents.
API_SERVER_FILES=/etc/kubernetes/tailkube
AUDIT_LOGS=/var/log/kubernetes/audit

# api_server_file NAME TEXT: for root alone, for one of them holds the key; none for an empty text.
api_server_file() {
    local path=$API_SERVER_FILES/$1
    [ -n "$2" ] && [ "$(cat "$path" 2>/dev/null)" != "$2" ] || return 0
    put_private "$path" printf '%s\n' "$2" || fail "cannot write $path: is the disk full or read-only?"
    changed "wrote $path"
}

# install_api_server_files ENCRYPTION
install_api_server_files() {
    api_server_file encryption.yaml "$1"
    api_server_file authentication.yaml "$TK_AUTHENTICATION"
    api_server_file admission.yaml "$TK_ADMISSION"
    api_server_file audit-policy.yaml "$TK_AUDIT_POLICY"
    # The kubelet would make it open to everybody.
    if [ -n "$TK_AUDIT_POLICY" ]; then (umask 077 && mkdir -p "$AUDIT_LOGS"); fi
}

# After the API server no longer asks for them.
forget_api_server_files() {
    [ -n "$TK_AUTHENTICATION" ] || rm -f "$API_SERVER_FILES/authentication.yaml"
    [ -n "$TK_ADMISSION" ] || rm -f "$API_SERVER_FILES/admission.yaml"
    [ -n "$TK_AUDIT_POLICY" ] || rm -f "$API_SERVER_FILES/audit-policy.yaml"
}

# No API server may encrypt before all of them can read it. The cluster notes when they can.
install_safe_api_server_files() {
    cluster_note encryption-key
    if [ "$ANSWER" = "$TK_ENCRYPTION_KEY" ]; then
        install_api_server_files "$TK_ENCRYPTION"
    else
        install_api_server_files "$TK_ENCRYPTION_READ"
    fi
}

# wanted, or reading: able to read what is encrypted, but not to encrypt yet.
encryption_state() { if [ "$(cat "$API_SERVER_FILES/encryption.yaml" 2>/dev/null)" = "$TK_ENCRYPTION" ]; then echo wanted; else echo reading; fi; }
