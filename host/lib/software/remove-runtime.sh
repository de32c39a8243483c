# shellcheck shell=bash
# requires: lib/software/containerd lib/records/folders
# Removes what the stage runtime installed: kubelet, containerd, images, package holds.
# Given: TK_BUNDLE.

# other_holds: "hold PACKAGE" or "unhold PACKAGE" for each of those that we hold, where it is not as it was.
other_holds() {
    local package held
    held=$(apt-mark showhold) || return
    for package in kubelet kubeadm kubectl containerd.io; do
        if grep -qsxF -- "$package" "$TK_STATE/holds-before"; then
            grep -qxF -- "$package" <<<"$held" || echo "hold $package"
        else
            ! grep -qxF -- "$package" <<<"$held" || echo "unhold $package"
        fi
    done
}
mark_package() { apt-mark "${1% *}" "${1#* }"; }

# restore_holds: of the packages that we hold; those that the user held stay held. Before the record there is none of ours.
restore_holds() {
    if [ ! -e "$TK_STATE/holds-before" ] && [ ! -e "$TK_STATE/checked" ]; then return 0; fi
    until_none 20 "a package's hold is not as it was before, and apt-mark cannot change it" "which packages are held (apt-mark showhold)" other_holds mark_package
}

# images_of_cluster: those that came with it, of a containerd that was here before.
images_of_cluster() {
    local all
    all=$(timeout 30 ctr -n k8s.io images ls -q) || return
    grep -vxFf "$TK_STATE/images-before" <<<"$all" || true
}
remove_image() { timeout 60 ctr -n k8s.io images rm --sync "$1"; }

# empty_ours FOLDER: of a containerd that came with us alone.
empty_ours() {
    [ -d "$1" ] || return 0
    unmount_below "$1"
    find "$1/" -xdev -mindepth 1 -delete
}

# Away with what this stage has made; the node itself is reset before. A run that is killed is done again whole: the records
# go last.
remove_runtime() {
    local fresh='' ours='' restore=''
    unit_stop kubelet.service
    owned /var/lib/containerd/.tailkube runtime && fresh=1
    containerd_is_ours && ours=1
    # Of a containerd that was here before us, all images that came with the cluster, under each of their names.
    if [ -z "$fresh" ] && [ -f "$TK_STATE/images-before" ] && unit_runs containerd.service; then
        until_none 60 "containerd cannot remove an image that came with the cluster" "which images containerd has (ctr -n k8s.io images ls)" images_of_cluster remove_image
    fi
    if [ -n "$ours" ]; then
        unit_stop containerd.service
        # Shims outlive containerd by design.
        pkill -KILL -f '^/usr/local/bin/containerd-shim-runc-v2 ' || true
        if [ -n "$fresh" ]; then
            empty_ours /run/containerd
            empty_ours /var/lib/containerd
            [ ! -d /var/lib/containerd ] || chmod "$(cat "$TK_STATE/containerd-mode")" /var/lib/containerd
            rmdir /run/containerd 2>/dev/null || true
            # Mirrors that the user has named stay.
            find /etc/containerd/certs.d -depth -type d -empty -delete 2>/dev/null || true
        fi
    fi
    if [ -z "$TK_BUNDLE" ]; then restore_holds; fi
    if [[ $(their_containerd_config) != /etc/containerd/config.toml ]] || owned "$(proxy_dropin containerd.service)"; then restore=1; fi
    restore_files
    daemon_reload
    if [ -n "$restore" ] || { [ -z "$ours" ] && [ ! -e /etc/containerd/config.toml ]; }; then
        restart_running containerd.service "the settings that were taken away"
    fi
    forget_files
}
