# shellcheck shell=bash
# What the cluster remembers of itself, where no node may change it. On a control plane.

# kubectl's cache of what the API offers would stay in root's home.
kubectl_security() { KUBECACHEDIR=$TK_RUN/kube-cache kubectl --request-timeout=20s --kubeconfig "${KUBECONFIG_ADMIN:-/etc/kubernetes/admin.conf}" "$@"; }

# cluster_note NAME, write_cluster_note NAME VALUE: on the namespace kube-system.
cluster_note() { kubectl_security get namespace kube-system -o "jsonpath={.metadata.annotations.tailkube\.dev/$1}"; }
write_cluster_note() { kubectl_security annotate --overwrite namespace kube-system "tailkube.dev/$1=$2" >/dev/null; }

# declare_nodes "NAME=IP"...: whose serving certificates may be approved.
declare_nodes() {
    local node data=
    for node in "$@"; do data+="\"${node%%=*}\":\"${node#*=}\","; done
    [ -n "$data" ] || return 0
    kubectl_security -n kube-system create configmap tailkube-nodes >/dev/null 2>&1 || true
    poll 30 kubectl_security -n kube-system patch configmap tailkube-nodes --type merge -p "{\"data\":{${data%,}}}" || fail "cannot declare $* in the ConfigMap kube-system/tailkube-nodes"
}
