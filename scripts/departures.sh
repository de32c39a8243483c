# shellcheck shell=bash
# Stage departures, on the first control plane, before further ones join: takes out what is dead and declared no more, so
# that etcd is whole for the join.

apply() {
    local node
    for node in $(departed); do
        if is_control_plane "$node" && ! is_ready "$node"; then take_out "$node"; fi
    done
    result
}
