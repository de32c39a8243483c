# shellcheck shell=bash
# requires: lib/records/ownership lib/waiting
# A bundle's container images.
# Given: TK_BUNDLE, TK_ROLE.

import_images() {
    local ref path roles present log=$TK_RUN/import.log
    [ -n "$TK_BUNDLE" ] || return 0
    ask 60 "which images containerd has (ctr -n k8s.io images ls)" timeout 30 ctr -n k8s.io images ls -q
    present=$ANSWER
    [ -e "$TK_STATE/images-before" ] || remember images-before "$present"
    while read -r ref path roles; do
        [[ ,$roles, == *,"$TK_ROLE",* ]] || continue
        grep -qxF -- "$ref" <<<"$present" && continue
        timeout 600 ctr -n k8s.io images import "$TK_BUNDLE/$path" >"$log" 2>&1 || fail "import of $path: $(log_tail "$log" 3)"
        changed "imported $ref"
    done <"$TK_BUNDLE/images.list"
}
