# shellcheck shell=bash
# requires: lib/cluster/notes
# Secrets in etcd as they are to be stored: encrypted by the key of today, or in plain. On a control plane.
# Given: TK_ENCRYPTION_KEY (its name), TK_ENCRYPTS (1: they are kept encrypted).

# count_secrets PREFIX: "ALL STORED": how many Secrets etcd has, and how many of them begin so, of one answer. All that etcd holds
# passes through, and nothing is kept. Fails if etcd does not answer. A value is what somebody has written: as a field it is quoted,
# with its line breaks, so that it counts once at most.
count_secrets() {
    "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --write-out fields |
        awk -v value="\"Value\" : \"$1" 'index($0, "\"Key\" : ") == 1 {all++} index($0, value) == 1 {stored++} END {print all + 0, stored + 0}'
}

# secrets_state: prints `wanted` or `other`; fails if etcd does not answer.
secrets_state() {
    local counts prefix=k8s:enc:
    [ -z "$TK_ENCRYPTS" ] || prefix=k8s:enc:secretbox:v1:$TK_ENCRYPTION_KEY:
    counts=$(count_secrets "$prefix") || return
    # Where they are to be in plain, none may be left behind a key.
    [ -n "$TK_ENCRYPTS" ] || counts="0 ${counts#* }"
    if [ "${counts% *}" = "${counts#* }" ]; then echo wanted; else echo other; fi
}

# An API server writes a Secret that it is given unchanged only if it is not stored as it would store it now. One that
# somebody changes meanwhile is written by just that. Nothing is written on an answer that did not come: SECRETS is what etcd
# has last said of them, and poll names the question without an answer.
rewrite_secrets() {
    local namespaces namespace secrets
    if [ "$SECRETS" = other ]; then
        namespaces=$(kubectl_admin get namespaces -o 'jsonpath={.items[*].metadata.name}') || unanswered "which namespaces there are, to the API" || return
        for namespace in $namespaces; do
            secrets=$(kubectl_admin -n "$namespace" get secrets -o json) || unanswered "which Secrets the namespace $namespace has, to the API" || return
            # Not by <<<, which may leave a file on the disk.
            printf '%s\n' "$secrets" | kubectl_admin replace -f - || true
        done
    fi
    SECRETS=$(secrets_state) || unanswered "how the Secrets are stored, to etcd on this host" || return
    [ "$SECRETS" = wanted ]
}

store_secrets() {
    local wanted=plain SECRETS
    [ -z "$TK_ENCRYPTS" ] || wanted=$TK_ENCRYPTION_KEY
    cluster_note secrets-stored
    [ "$ANSWER" != "$wanted" ] || return 0
    ask 60 "how the Secrets are stored, to etcd on this host" secrets_state
    SECRETS=$ANSWER
    if [ "$SECRETS" != wanted ]; then
        # An API server reads a changed EncryptionConfiguration within a minute or so.
        poll 240 rewrite_secrets || fail "not all Secrets in etcd are stored as configured ($wanted$NO_ANSWER): see 'kubectl get --raw /metrics | grep apiserver_encryption_config' (waited 240 s)"
        changed "wrote all Secrets anew: $wanted"
    fi
    retry 60 "the API does not take a note on the namespace kube-system" write_cluster_note secrets-stored "$wanted"
}
