# shellcheck shell=bash
# requires: lib/tailnet lib/lan lib/remove-runtime lib/reset
# Takes everything of ours off a host, all stages at once and newest first, from whole ones as from those that failed or
# were killed: what a stage has written down is what is undone.
# Given: TK_BUNDLE, TK_ROLE, TK_HOST_GUARD.

# shellcheck disable=SC2034,SC2153  # TK_STAGE is lib/base.sh's, TK_STATE is not a misspelling of it
remove() {
    local stage
    if compgen -G "$TK_STATE/owned.*" >/dev/null; then guard_network remove; fi
    if [ -e "$TK_STATE/owned.control-plane" ] || [ -e "$TK_STATE/owned.join" ]; then
        unit_stop tailkube-endpoint.service
        unit_stop tailkube-approve.timer
        reset_node
        # The notes of an upgrade that was killed, and the automatic snapshots of etcd; others there are the user's.
        rm -rf "$TK_STATE/upgrading"
        rm -f "$TK_STATE"/snapshots/auto-*
        for stage in upgrade control-plane join; do TK_STAGE=$stage clean_up_files; done
    fi
    [ ! -e "$TK_STATE/owned.peers" ] || TK_STAGE=peers clean_up_files
    for stage in runtime tailnet lan; do
        [ -e "$TK_STATE/owned.$stage" ] || continue
        TK_STAGE=$stage
        "remove_$stage"
    done
    # Of a run that was killed after its last record had gone.
    rmdir -- "$TK_STATE" "$TK_ETC" "$TK_LIB" 2>/dev/null || true
    rm -rf "$TK_RUN"
    result
}
