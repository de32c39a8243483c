# shellcheck shell=bash
# requires: lib/depart
# Stage departures, on the first control plane, before further ones join: takes out what is dead and no longer declared, so
# that etcd is whole for the join. A removal whose Node is gone already comes to its end here, too.

apply() {
    local node
    departed
    for node in $ANSWER; do
        if is_ready "$node"; then continue; fi
        member_address "$node"
        if in_etcd "$node" "$ANSWER" || is_control_plane "$node" || ! node_exists "$node"; then take_out "$node"; fi
    done
    result
}
