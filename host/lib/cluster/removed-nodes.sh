# shellcheck shell=bash
# requires: lib/control-plane/etcd-members lib/cluster/drain-removed-node
# Removed nodes: how a node that is no longer declared leaves the cluster, while its host is still there or after it is gone.
# On a control plane that stays.
# Given: TK_NODES (names of the declared nodes), TK_DRAIN_SECONDS.

is_declared() { [[ " $TK_NODES $TK_NODE " == *" $1 "* ]]; }

# find_removed_nodes: ANSWER has the names of the nodes that this program made, that are no longer declared, and that are not completely
# out of the cluster. Two records say that we made one: the membership ID on its Node, which is the last step of a join; and the ConfigMap
# tailkube-nodes, which holds its name from the join until the last step of its removal. So a removal that was killed is
# continued, whatever is left: the Node, the member of etcd, or neither. A member of etcd without any record is left alone: the
# checks report it.
find_removed_nodes() {
    local name entry found=' '
    ask "$BOOT_SECONDS" "which Nodes there are, to the API" kubectl_cluster get nodes -o 'jsonpath={.items[*].metadata.name}'
    for name in $ANSWER; do
        if is_declared "$name"; then continue; fi
        # Each by itself: a node can write its own annotations, and must not be able to name another one.
        membership_id_of "$name"
        [ -z "$ANSWER" ] || found+="$name "
    done
    recorded_nodes
    for entry in $ANSWER; do
        name=${entry%%=*}
        if is_declared "$name" || [[ $found == *" $name "* || ! $entry =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?=[0-9.]+$ ]]; then continue; fi
        # A join that was killed before it noted the membership ID on the Node. At another address it may be a node that the user
        # made; or one that is to leave, and does not want to: it can remove its ID and report any address. Neither is taken for the
        # other.
        if node_exists "$name"; then
            node_address "$name"
            [ "${ANSWER:-${entry#*=}}" = "${entry#*=}" ] ||
                fail "the Node $name is no longer declared, and is recorded with the address ${entry#*=}, but reports $ANSWER and has no membership ID of this program, so it is not known whose it is and nothing was removed. To remove it: 'kubectl delete node $name'. To keep it as your own: kubectl -n kube-system patch configmap tailkube-nodes --type merge -p '{\"data\":{\"$name\":null}}'. Then run again"
        fi
        found+="$name "
    done
    ANSWER=$found
}

# remove_node NAME: all questions come before the first change; each step is looked for again by the next run if this one is killed.
remove_node() {
    local node=$1 address member=
    member_address "$node"
    address=$ANSWER
    # Asked of etcd, not of the Node's labels, which may be gone already.
    if in_etcd "$node" "$address"; then
        member=1
        keep_majority "$node"
    fi
    if node_exists "$node"; then
        # Pods on a dead machine cannot be evicted: they start elsewhere when its Node is gone.
        if ! is_ready "$node"; then
            changed "did not drain $node, which is not Ready"
        elif [ "$TK_DRAIN_SECONDS" -gt 0 ]; then
            drain_node "$node"
        fi
    fi
    [ -z "$member" ] || forget_etcd_member "$node" "$address"
    forget_node "$node"
}
