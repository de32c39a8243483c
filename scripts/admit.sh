# shellcheck shell=bash
# Stage admit, on a control plane that is in: opens the door for the named workers, waits until each says that it has
# joined, and shuts it again whatever happened. The token's value is known to both sides beforehand; that it is valid at
# all lasts only as long as this script.
# Given (beside node.sh's): TK_JOINERS ("name=mark" words), TK_JOINER_ADDRESSES ("name=ip" words), TK_TOKEN_ID, TK_TOKEN_SECRET (secrets), TK_JOIN_SECONDS.

waiting_for() {
    local joiner
    for joiner in $TK_JOINERS; do
        [ "$(mark_of "${joiner%%=*}")" = "${joiner#*=}" ] || printf '%s ' "${joiner%%=*}"
    done
}

all_joined() { [ -z "$(waiting_for)" ]; }

node_ready() { [ "$(kubectl_cluster get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]; }

# A machine that was made anew under its old name is another one: what the API holds of the former one is not to be this
# one's. And kubeadm refuses a name that a Ready node has, as an attempt leaves it that was killed a moment too late.
forget_former_machines() {
    local name
    for name in $(waiting_for); do
        if [ -n "$(mark_of "$name")" ] || node_ready "$name"; then forget_node "$name"; fi
    done
}

# Fails if the API does not answer: then nobody knows whether it is gone.
close_admission() { kubectl_admin -n kube-system delete secret "bootstrap-token-$TK_TOKEN_ID" --ignore-not-found >/dev/null 2>&1; }

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
}

# The lock is for what changes this host. Waiting here while other stages work on it is the point of this one.
lock_host() {
    mkdir -p "$TK_RUN"
    chmod 0700 "$TK_RUN"
}

apply() {
    local end=$((SECONDS + TK_JOIN_SECONDS)) missing
    # One that a killed run has left would shut the door that this one opens.
    exec 7>>"$TK_RUN/admit.pid"
    flock -n 7 || { pkill -TERM -F "$TK_RUN/admit.pid" && flock -w 60 7; } || fail "the admission of an earlier run does not end: process $(cat "$TK_RUN/admit.pid")"
    printf '%s\n' "$$" >"$TK_RUN/admit.pid"
    if ! all_joined; then
        forget_former_machines
    fi
    # Also of those that are in, should the cluster be older than the declaration. A word for each is meant.
    # shellcheck disable=SC2086
    declare_nodes $TK_JOINER_ADDRESSES
    if ! all_joined; then
        trap 'close_admission || true' EXIT
        open_admission
        while missing=$(waiting_for) && [ -n "$missing" ]; do
            [ "$SECONDS" -lt "$end" ] || fail "${missing% } did not join within $TK_JOIN_SECONDS s; why is in the error of the join, and in $KUBEADM_LOG on that host"
            # A joiner says that it has joined when its kubelet has its serving certificate.
            if [ -x "$TK_LIB/approve" ]; then "$TK_LIB/approve" >/dev/null 2>&1 || true; fi
            sleep 1
        done
        changed "admitted $TK_JOINERS"
    fi
    wait_for 60 "the token of the admission cannot be revoked, for the API does not answer; it expires by itself" close_admission
    trap - EXIT
    result
}
