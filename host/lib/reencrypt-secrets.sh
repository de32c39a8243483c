# shellcheck shell=bash
# requires: lib/cluster-notes
# Secrets in etcd as they are to be stored: encrypted by the key of today, or in plain. On a control plane.
# Given: TK_ENCRYPTION_KEY (its name), TK_ENCRYPTS (1: they are kept encrypted).

# stored_secrets PATTERN: how many Secrets' bytes in etcd begin so. All that etcd holds passes through, and nothing is kept.
# Fails if etcd does not answer; grep's "none" is an answer.
stored_secrets() { "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --print-value-only | { grep -ac "^$1" || [ $? = 1 ]; }; }
all_secrets() { "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --keys-only | { grep -c . || [ $? = 1 ]; }; }

# secrets_state: prints `wanted` or `other`; fails if etcd does not answer.
secrets_state() {
    local all stored
    if [ -z "$TK_ENCRYPTS" ]; then
        # None may be left behind a key.
        all=0
        stored=$(stored_secrets 'k8s:enc:') || return
    else
        all=$(all_secrets) || return
        stored=$(stored_secrets "k8s:enc:secretbox:v1:$TK_ENCRYPTION_KEY:") || return
    fi
    if [ "$stored" = "$all" ]; then echo wanted; else echo other; fi
}

secrets_as_wanted() { [ "$(secrets_state)" = wanted ]; }

# An API server writes a Secret that it is given unchanged only if it is not stored as it would store it now. One that
# somebody changes meanwhile is written by just that.
rewrite_secrets() {
    local namespace
    for namespace in $(kubectl_admin get namespaces -o 'jsonpath={.items[*].metadata.name}'); do
        kubectl_admin -n "$namespace" get secrets -o json | kubectl_admin replace -f - >/dev/null 2>&1 || true
    done
    secrets_as_wanted
}

store_secrets() {
    local wanted=plain
    [ -z "$TK_ENCRYPTS" ] || wanted=$TK_ENCRYPTION_KEY
    cluster_note secrets-stored
    [ "$ANSWER" != "$wanted" ] || return 0
    ask 60 "how the Secrets are stored, to etcd on this host" secrets_state
    if [ "$ANSWER" != wanted ]; then
        # An API server reads a changed EncryptionConfiguration within a minute or so.
        wait_for 240 "not all Secrets in etcd are stored as wanted ($wanted): see 'kubectl get --raw /metrics | grep apiserver_encryption_config'" rewrite_secrets
        changed "wrote all Secrets anew: $wanted"
    fi
    retry 60 "the API does not take a note on the namespace kube-system" write_cluster_note secrets-stored "$wanted"
}
