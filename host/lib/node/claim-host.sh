# shellcheck shell=bash
# requires: lib/records/files lib/node/foreign-cluster lib/records/folders lib/node/node-paths
# A host that is free becomes this cluster's: what was there before is recorded, so that a cleanup keeps it.
# Given: TK_BUNDLE.

# claim_host: this host is the cluster's from here on. What was found fit once may have got another cluster since, so it is
# looked at again right before, and only then are its folders' later contents taken for ours.
claim_host() {
    local found folder
    if [ -e "$TK_STATE/checked" ] || [ -e "$SENTINEL" ]; then return 0; fi
    found=$(foreign_kubernetes)
    [ -z "$found" ] || fail "this host has a Kubernetes cluster that this program did not make (${found% }); nothing was changed. Remove it: $(foreign_removal)"
    ask 60 "which containers containerd holds for Kubernetes (ctr -n k8s.io containers ls)" foreign_containers
    [ -z "$ANSWER" ] || fail "containerd on this host holds containers in the namespace k8s.io that this program did not make (${ANSWER% }); nothing was changed. Remove them: ctr -n k8s.io containers ls"
    for folder in "${NODE_FOLDERS[@]}" "$CNI_CONFIGS" "$CNI_CACHE" "$CNI_CACHE/results" /opt/cni/bin; do
        make_parents "$folder"
        # Away again if empty, when all is undone.
        [ -e "$folder" ] || own "$folder"
        remember_folder "$folder"
    done
    remember containerd-config "$(if [ -e /etc/containerd/config.toml ]; then echo theirs; else echo ours; fi)"
    if [ -z "$TK_BUNDLE" ]; then
        ask 60 "which packages are held (apt-mark showhold)" apt-mark showhold
        remember holds-before "$ANSWER"
    fi
    remember checked "$(date -u +%FT%TZ)"
}
