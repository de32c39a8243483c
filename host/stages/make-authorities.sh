# shellcheck shell=bash
# Stage make-authorities, once in a cluster's life, on the host that inits it: makes the cluster's authorities and leaves nothing of
# them here. The stack's state keeps them, so that any control plane can be made anew, even all of them.
# Given: TK_KUBERNETES_VERSION, TK_MARK (the init node's membership ID).

apply() {
    local directory=$TK_RUN/pki log=$TK_RUN/authorities.log part
    # shellcheck disable=SC2064  # the paths of now
    trap "rm -rf '$directory' '$log'" EXIT
    rm -rf "$directory"
    umask 077
    for part in ca etcd-ca front-proxy-ca sa; do
        # The version keeps kubeadm from asking the internet for one.
        timeout 60 kubeadm init phase certs "$part" --cert-dir "$directory" --kubernetes-version "v$TK_KUBERNETES_VERSION" >>"$log" 2>&1 ||
            fail "kubeadm could not make the cluster's $part: $(log_tail "$log" 3)"
    done
    # No cluster can have them yet: see init-or-join.sh.
    sha256sum <<<"$(cat "$directory/ca.crt")" | awk '{print $1}' >"$TK_RUN/new-authorities"
    result founder "$TK_MARK" seed "$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" \
        caCrt "$(cat "$directory/ca.crt")" caKey "$(cat "$directory/ca.key")" \
        etcdCaCrt "$(cat "$directory/etcd/ca.crt")" etcdCaKey "$(cat "$directory/etcd/ca.key")" \
        frontProxyCaCrt "$(cat "$directory/front-proxy-ca.crt")" frontProxyCaKey "$(cat "$directory/front-proxy-ca.key")" \
        saPub "$(cat "$directory/sa.pub")" saKey "$(cat "$directory/sa.key")"
}
