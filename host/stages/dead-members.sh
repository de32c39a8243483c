# shellcheck shell=bash
# requires: lib/cluster/removed-nodes
# Stage dead-members, on the first control plane, before further ones join: takes out what is dead and no longer declared, so
# that etcd is whole for the join. A removal whose Node is gone already comes to its end here, too.

apply() {
    local node
    find_removed_nodes
    for node in $ANSWER; do
        if is_ready "$node"; then continue; fi
        member_address "$node"
        if in_etcd "$node" "$ANSWER" || is_control_plane "$node" || ! node_exists "$node"; then remove_node "$node"; fi
    done
    result
}
