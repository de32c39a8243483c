# shellcheck shell=bash
# requires: lib/base lib/records/ownership
# A new snapshot of etcd on stdout, for `tailkube etcd snapshot`: a line `tailkube-snapshot SHA256 BYTES`, and its bytes. The file on the
# host is removed. Startup files may have printed something before that line.

apply() {
    local said sum bytes
    # Not local: the trap reads it.
    file=$TK_STATE/download.db
    [ -x "$TK_LIB/etcd" ] || fail "this host has no $TK_LIB/etcd: is it a control plane of the cluster?"
    # Two at the same time would take each other's file.
    exec 7>>"$TK_RUN/download.lock"
    flock -w 300 7 || fail "another snapshot is still being downloaded from this host"
    # Undone with the control plane, should this be killed.
    TK_STAGE=control-plane own "$file"
    trap 'rm -f -- "$file"' EXIT
    rm -f -- "$file"
    said=$("$TK_LIB/etcd" snapshot "$file" 2>&1) || fail "no snapshot: $(tail -n 1 <<<"$said")"
    sum=$(sha256sum <"$file") bytes=$(stat -c %s "$file")
    printf 'tailkube-snapshot %s %s\n' "${sum%% *}" "$bytes"
    cat -- "$file"
}
