# shellcheck shell=bash
# requires: lib/records/ownership
# Stage peers, on the first control plane: notes which control planes are declared, for the day on which it has to decide whether
# it inits the cluster (init-or-join.sh). In a stage of its own, so that a new control plane leaves the others' stages as they are.
# Given: TK_PEERS ("NAME ADDRESS" lines).

apply() {
    local peers=$TK_STATE/peers
    own "$peers"
    if [ "$(cat "$peers" 2>/dev/null)" != "$TK_PEERS" ]; then
        record "$peers" "$TK_PEERS"
        changed "noted the declared control planes"
    fi
    result
}
