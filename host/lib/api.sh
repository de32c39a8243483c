# shellcheck shell=bash
# requires: lib/waiting
# Requests to the API: as the node, by the kubelet's identity; as the administrator, on a control plane; without credentials, to
# /readyz.
# Given: TK_ENDPOINT, TK_ENDPOINT_PORT, TK_ENDPOINT_KIND (vip, or absent), TK_API_PORT (of each API server).

# kubectl's cache of what the API offers would stay in root's home.
export KUBECACHEDIR=$TK_RUN/kube-cache

# direct COMMAND...: without a proxy of the login's environment (/etc/environment), which leads to no node.
direct() { NO_PROXY='*' no_proxy='*' "$@"; }

kubectl_node() { direct kubectl --request-timeout=10s --kubeconfig /etc/kubernetes/kubelet.conf "$@"; }
kubectl_admin() { direct kubectl --request-timeout=20s --kubeconfig /etc/kubernetes/admin.conf "$@"; }
# api_ready ADDRESS [PORT]: of a control plane, or with its port of the endpoint. Asked without credentials, which /readyz does not
# need, for a joiner has none yet; kubectl would ask the terminal for a user name.
api_ready() {
    local said at="https://$1:${2:-$TK_API_PORT}/readyz"
    said=$(curl -sk --max-time 5 --noproxy '*' "$at") || unanswered "whether the API server is ready ($at)" || return
    [ "$said" = ok ]
}
endpoint_ready() { api_ready "$TK_ENDPOINT" "$TK_ENDPOINT_PORT"; }

# has_vip: whether the endpoint is an address that one control plane of a lan has at a time, by a lease.
has_vip() { [ "${TK_ENDPOINT_KIND:-}" = vip ]; }

# A kubeconfig with the administrator's rights; a joining control plane uses another one until it is in.
KUBECONFIG_ADMIN=/etc/kubernetes/admin.conf

kubectl_cluster() { direct kubectl --request-timeout=20s --kubeconfig "$KUBECONFIG_ADMIN" "$@"; }
