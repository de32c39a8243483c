# shellcheck shell=bash
# Who is in the cluster, as the API and etcd have it, and how somebody gets out of both who is there no more. On a control
# plane; after node.sh.
# Given: TK_NODE.

# A kubeconfig with the administrator's rights; who joins has another one until it is in.
KUBECONFIG_ADMIN=/etc/kubernetes/admin.conf

kubectl_cluster() { kubectl --request-timeout=20s --kubeconfig "$KUBECONFIG_ADMIN" "$@"; }

# etcdctl_on NODE ARGUMENT...: inside that control plane's etcd, which has the tool and the certificates.
etcdctl_on() {
    local node=$1
    shift
    kubectl_cluster -n kube-system exec "etcd-$node" -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
        --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key "$@"
}

# etcd_by [NODE]: a control plane whose etcd answers, other than NODE.
etcd_by() {
    local node
    for node in $(kubectl_cluster -n kube-system get pods -l component=etcd --field-selector status.phase=Running -o 'jsonpath={range .items[*]}{.spec.nodeName} {end}' 2>/dev/null); do
        [ "$node" != "${1:-}" ] || continue
        if etcdctl_on "$node" --command-timeout=10s member list >/dev/null 2>&1; then
            printf '%s' "$node"
            return 0
        fi
    done
    return 1
}

# etcd_members BY: "id name" lines; a learner that has not started has no name.
etcd_members() { etcdctl_on "$1" member list 2>/dev/null | awk -F', ' '{print $1, $3}'; }

# forget_etcd_member NAME: out of etcd, if it is in. A majority has to answer.
forget_etcd_member() {
    local by members id
    by=$(etcd_by "$1") || fail "no other control plane's etcd answers, so the member $1 cannot be taken out of it; a majority of the members has to be up"
    members=$(etcd_members "$by") || fail "etcd on $by does not list its members"
    awk -v name="$1" '$2 == name {print $1}' <<<"$members" | while read -r id; do
        etcdctl_on "$by" member remove "$id" >/dev/null 2>&1 || fail "etcd would not remove the member $1 ($id): 'etcdctl endpoint status --cluster' in etcd-$by says more"
    done
    awk -v name="$1" '$2 == name {exit 1}' <<<"$members" || changed "removed $1 from etcd"
}

# forget_node NAME: its Node object and what the API still holds for pods on it. The object's route, its Cilium node and its
# lease go with it.
forget_node() {
    local error
    # Nor are certificates for its name and its former address approved any more.
    kubectl_cluster -n kube-system patch configmap tailkube-nodes --type merge -p "{\"data\":{\"$1\":null}}" >/dev/null 2>&1 || true
    kubectl_cluster get node "$1" -o name >/dev/null 2>&1 || return 0
    error=$(kubectl_cluster delete node "$1" --ignore-not-found --timeout=60s 2>&1 >/dev/null) || fail "cannot remove the Node $1: $(tail -n 1 <<<"$error")"
    # Nobody is left to say that they have ended; kubeadm would take a dead etcd's mirror pod for a member.
    kubectl_cluster delete pods -A --field-selector "spec.nodeName=$1" --force --grace-period=0 --wait=false >/dev/null 2>&1 || true
    changed "removed the Node $1"
}

# mark_of NAME: ANSWER is the mark that the node carries since it has joined; nothing without one.
mark_of() { ask 60 "which mark the Node $1 carries, to the API" kubectl_cluster get node "$1" --ignore-not-found -o 'jsonpath={.metadata.annotations.tailkube\.dev/joined}'; }
