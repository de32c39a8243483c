# shellcheck shell=bash
# Stage admit, on a control plane that is in: opens the door for the named joiners, waits until each says that it has
# joined, and shuts it again whatever happened. The credentials' values are known to both sides beforehand; that they are
# valid at all lasts only as long as this script.
# Given (beside node.sh's): TK_JOINERS ("name=mark" words), TK_TOKEN_ID, TK_TOKEN_SECRET (secrets), TK_KUBEADM_DOCUMENT
# (secret; empty for workers), TK_KUBEADM_SECONDS, TK_JOIN_SECONDS.

waiting_for() {
    local joiner
    for joiner in $TK_JOINERS; do
        [ "$(kubectl_admin get node "${joiner%%=*}" -o 'jsonpath={.metadata.annotations.tailkube\.dev/joined}' 2>/dev/null)" = "${joiner#*=}" ] || printf '%s ' "${joiner%%=*}"
    done
}

all_joined() { [ -z "$(waiting_for)" ]; }

# Fails if the API does not answer: then nobody knows whether they are gone.
close_admission() {
    local name names
    # Only by who uploads them: the workers' admission runs beside the control planes', whose joiner may yet have to fetch them.
    [ -z "$TK_KUBEADM_DOCUMENT" ] || kubectl_admin -n kube-system delete secret kubeadm-certs --ignore-not-found >/dev/null 2>&1 || return
    names=$(kubectl_admin -n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o name 2>/dev/null) || return
    for name in $names; do
        # Also the token by which kubeadm bounds the life of the uploaded certificates.
        if [ "$name" = "secret/bootstrap-token-$TK_TOKEN_ID" ] || { [ -n "$TK_KUBEADM_DOCUMENT" ] &&
            kubectl_admin -n kube-system get "$name" -o 'jsonpath={.data.description}' 2>/dev/null | base64 -d 2>/dev/null | grep -q kubeadm-certs; }; then
            kubectl_admin -n kube-system delete "$name" --ignore-not-found >/dev/null 2>&1 || return
        fi
    done
}

open_admission() {
    local error
    # By stdin: a command line is readable by everybody on the host. The expiry is a second bolt, should this script be
    # killed before it can shut the door.
    error=$(kubectl_admin apply -f - 2>&1 >/dev/null <<EOF
apiVersion: v1
kind: Secret
metadata:
  name: bootstrap-token-$TK_TOKEN_ID
  namespace: kube-system
type: bootstrap.kubernetes.io/token
stringData:
  description: "tailkube: admission of $TK_JOINERS"
  token-id: "$TK_TOKEN_ID"
  token-secret: "$TK_TOKEN_SECRET"
  expiration: "$(date -u -d "+$((TK_JOIN_SECONDS + 60)) seconds" +%Y-%m-%dT%H:%M:%SZ)"
  usage-bootstrap-authentication: "true"
  usage-bootstrap-signing: "true"
  auth-extra-groups: system:bootstrappers:kubeadm:default-node-token
EOF
    ) || fail "cannot make a bootstrap token: $(tail -n 1 <<<"$error")"
    # Without the second option the key would stand in kubeadm's log.
    [ -z "$TK_KUBEADM_DOCUMENT" ] || run_kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print
}

# The lock is for what changes this host. Waiting here while other stages work on it is the point of this one.
lock_host() {
    mkdir -p "$TK_RUN"
    chmod 0700 "$TK_RUN"
}

apply() {
    local end=$((SECONDS + TK_JOIN_SECONDS)) missing
    if ! all_joined; then
        trap 'close_admission || true' EXIT
        open_admission
        while missing=$(waiting_for) && [ -n "$missing" ]; do
            [ "$SECONDS" -lt "$end" ] || fail "${missing% } did not join within $TK_JOIN_SECONDS s; why is in the error of the join, and in $KUBEADM_LOG on that host"
            sleep 1
        done
        changed "admitted $TK_JOINERS"
    fi
    wait_for 60 "the credentials of the admission cannot be revoked, for the API does not answer; they expire by themselves" close_admission
    trap - EXIT
    result
}
