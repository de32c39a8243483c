# shellcheck shell=bash
# requires: lib/api lib/waiting
# Cluster membership: what the API knows of a node, and how a node is taken out of it.
# Given: TK_NODE.

# node_field NAME WHAT JSONPATH [SECONDS]: ANSWER is that field; nothing if the field or the Node does not exist.
node_field() { ask "${4:-60}" "$2 node $1 has, to the API" kubectl_cluster get node "$1" --ignore-not-found -o "jsonpath=$3"; }

# Bound on the first question of a stage: after a power cut this host, or one that etcd's majority needs, may still be booting,
# and its API server takes minutes on a slow machine.
BOOT_SECONDS=240

# membership_id_of NAME: ANSWER is the membership ID that the node carries since it has joined; nothing without one. The first question of admit.
membership_id_of() { node_field "$1" "which mark" '{.metadata.annotations.tailkube\.dev/joined}' "$BOOT_SECONDS"; }

# node_address NAME: ANSWER is its InternalIP.
node_address() { node_field "$1" "which address" '{.status.addresses[?(@.type=="InternalIP")].address}'; }

node_exists() {
    ask 60 "whether there is a Node $1, to the API" kubectl_cluster get node "$1" --ignore-not-found -o name
    [ -n "$ANSWER" ]
}

# A Node that does not exist is not Ready.
is_ready() {
    node_field "$1" "which state" '{.status.conditions[?(@.type=="Ready")].status}'
    [ "$ANSWER" = True ]
}

is_control_plane() {
    node_field "$1" "which labels" '{.metadata.labels}'
    [[ $ANSWER == *'"node-role.kubernetes.io/control-plane":'* ]]
}

# recorded_nodes: ANSWER has a word NAME=ADDRESS for each node that this program has declared to the cluster (cluster/notes.sh) and
# not yet taken out of it completely. Only administrators can write there.
recorded_nodes() {
    # shellcheck disable=SC2016  # the template's own variables
    ask 60 "which nodes are recorded in the ConfigMap kube-system/tailkube-nodes, to the API" \
        kubectl_cluster -n kube-system get configmap tailkube-nodes --ignore-not-found -o 'go-template={{range $name, $address := .data}}{{$name}}={{$address}} {{end}}'
}

# recorded_address NAME: ANSWER is the address in that record.
recorded_address() {
    recorded_nodes
    ANSWER=$(tr ' ' '\n' <<<"$ANSWER" | awk -F = -v name="$1" '$1 == name {print $2; exit}')
}

# member_address NAME: ANSWER is the address by which a member of etcd that has not started is this node's; nothing if there is
# none. A node reports its own address, and must not name another member by it: what is recorded counts, or, on a Node without a
# record, the role of a control plane, which no node can give itself.
member_address() {
    recorded_address "$1"
    [ -z "$ANSWER" ] || return 0
    if is_control_plane "$1"; then node_address "$1"; else ANSWER=; fi
}

# reject_foreign_node NAME ADDRESS: fails if the cluster has a Node of the joiner's name that this program did not make. It made a Node
# that carries a membership ID, has the address that is recorded for the name, or has the joiner's own address: a join that was killed
# before its membership ID leaves such a Node.
reject_foreign_node() {
    local address
    node_exists "$1" || return 0
    membership_id_of "$1"
    [ -z "$ANSWER" ] || return 0
    node_address "$1"
    address=$ANSWER
    [ "$address" != "$2" ] || return 0
    recorded_address "$1"
    [ -z "$ANSWER" ] || [ "${address:-$ANSWER}" != "$ANSWER" ] || return 0
    fail "the cluster has a Node $1 at ${address:-no address} that this program did not make, so it was left alone. Give the declared node another name, or take that one out of the cluster ('kubectl delete node $1'; a control plane out of etcd, too) and run again"
}

# forget_pods NAME: no kubelet is left to report that they have ended; kubeadm would take a dead etcd's mirror pod for a member.
forget_pods() {
    retry 60 "cannot remove what the API holds for pods on the former node $1" \
        kubectl_cluster delete pods -A --field-selector "spec.nodeName=$1" --force --grace-period=0 --wait=false
}

# forget_node NAME: its Node object, what the API still holds for pods on it, and last the record of it, so that a run that is
# killed before the end is continued. The Node's route, its Cilium node and its lease go with it.
forget_node() {
    local existed=
    if node_exists "$1"; then
        existed=1
        retry 60 "cannot remove the Node $1" kubectl_cluster delete node "$1" --ignore-not-found --timeout=60s
        if node_exists "$1"; then fail "the Node $1 is there again after it was removed: stop the kubelet on that host, and run again"; fi
    fi
    forget_pods "$1"
    recorded_address "$1"
    # With it ends the approval of certificates for its name and its former address.
    [ -z "$ANSWER" ] || retry 60 "cannot remove the record of the node $1 from the ConfigMap kube-system/tailkube-nodes" \
        kubectl_cluster -n kube-system patch configmap tailkube-nodes --type merge -p "{\"data\":{\"$1\":null}}"
    [ -z "$existed" ] || changed "removed the Node $1"
}
