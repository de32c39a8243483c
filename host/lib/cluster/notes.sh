# shellcheck shell=bash
# requires: lib/api lib/waiting
# What the cluster remembers of itself, where no node may change it. On a control plane.

# cluster_note NAME: ANSWER is that note on the namespace kube-system; nothing if there is none.
cluster_note() { ask 60 "which $1 the cluster has noted, to the API" kubectl_cluster get namespace kube-system -o "jsonpath={.metadata.annotations.tailkube\.dev/$1}"; }
# write_cluster_note NAME VALUE: one attempt; its exit status says whether the API took it.
write_cluster_note() { kubectl_cluster annotate --overwrite namespace kube-system "tailkube.dev/$1=$2" >/dev/null; }

# patch_note CONFIGMAP PATCH: one attempt. Whether the ConfigMap was made or is there already, the patch says.
patch_note() {
    kubectl_cluster -n kube-system create configmap "$1" || true
    kubectl_cluster -n kube-system patch configmap "$1" --type merge -p "$2"
}

# declare_nodes "NAME=IP"...: whose serving certificates may be approved, and the record that these nodes are this program's
# until they are completely out of the cluster (removed-nodes.sh).
declare_nodes() {
    local node data=
    for node in "$@"; do data+="\"${node%%=*}\":\"${node#*=}\","; done
    [ -n "$data" ] || return 0
    poll 60 patch_note tailkube-nodes "{\"data\":{${data%,}}}" || fail "cannot declare $* in the ConfigMap kube-system/tailkube-nodes"
}
