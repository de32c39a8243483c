# shellcheck shell=bash
# requires: lib/node/reset-cilium lib/node/node-paths
# The way out of a cluster, for the stages that made a host its node, and for what is below them when those have failed.

# node_containers: IDs of the containers in Kubernetes' namespace, without those that were there before us.
node_containers() {
    local before=$TK_STATE/containers-before
    timeout 30 ctr -n k8s.io containers ls -q | { if [ -s "$before" ]; then grep -vxFf "$before" || true; else cat; fi; }
}

# sandbox_netns ID: the path of the network namespace that a container was made with. ctr prints one field a line, and nothing
# that a pod chooses can break a line.
sandbox_netns() {
    timeout 30 ctr -n k8s.io containers info "$1" 2>/dev/null |
        awk '$0 ~ /^ *"type": "network",$/ {network = 1; next} network && match($0, /"path": "(\/var)?\/run\/netns\/cni-[0-9a-f-]+"/) {path = substr($0, RSTART + 9, RLENGTH - 10); print path} {network = 0}'
}

# end_containers: of the node, with their network namespaces, which containerd knows until its containers are gone: a run that
# is killed in here begins with them again.
end_containers() {
    local id netns ids=()
    unit_runs containerd.service || return 0
    ask 60 "which containers containerd holds for Kubernetes (ctr -n k8s.io containers ls)" node_containers
    mapfile -t ids <<<"$ANSWER"
    for id in "${ids[@]}"; do
        [ -n "$id" ] || continue
        timeout 20 ctr -n k8s.io tasks kill -s SIGKILL "$id" >/dev/null 2>&1 || true
    done
    for id in "${ids[@]}"; do
        [ -n "$id" ] || continue
        timeout 20 ctr -n k8s.io tasks rm -f "$id" >/dev/null 2>&1 || true
        netns=$(sandbox_netns "$id") || true
        for netns in $netns; do
            [ ! -e "$netns" ] || ip netns del "${netns##*/}" 2>/dev/null || true
        done
        timeout 20 ctr -n k8s.io containers rm "$id" >/dev/null 2>&1 || true
    done
}

# reset_cni: Cilium's configuration goes, and those of other networks that it renamed get their names back. The folder stays: a
# containerd whose CNI folder goes away ends itself.
reset_cni() {
    local file before
    before=$(before_record "$CNI_CONFIGS")
    for file in "$CNI_CONFIGS"/*cilium*; do
        if [ ! -f "$file" ] || grep -qszxF -- "${file##*/}" "$before"; then continue; fi
        case $file in
        *.cilium_bak) [ -e "${file%.cilium_bak}" ] || mv -- "$file" "${file%.cilium_bak}" ;;
        *) rm -f -- "$file" ;;
        esac
    done
    # One file for each sandbox: cilium-ID-eth0 and, of containerd's own network for the loopback, cni-loopback-ID-lo.
    find "$CNI_CACHE/results/" -mindepth 1 -maxdepth 1 -type f \( -name 'cilium-*' -o -name 'cni-loopback-*' \) -delete 2>/dev/null || true
}

# Where what was in the kubelet's folder before us stands while kubeadm empties that.
KEPT=/var/lib/kubelet.tailkube

# set_aside: whole folders, with our files in them, which are removed once the folders are back. Keeps what a killed run has moved.
set_aside() {
    local name list
    list=$(before_record /var/lib/kubelet)
    [ -s "$list" ] || return 0
    while IFS= read -r -d '' name; do
        if [[ $name == */* ]] || [ -e "$KEPT/$name" ] || [ -L "$KEPT/$name" ]; then continue; fi
        if [ ! -e "/var/lib/kubelet/$name" ] && [ ! -L "/var/lib/kubelet/$name" ]; then continue; fi
        { (umask 077 && mkdir -p "$KEPT") && mv -T -- "/var/lib/kubelet/$name" "$KEPT/$name"; } ||
            fail "cannot move /var/lib/kubelet/$name, which was there before this program, to $KEPT: is the disk full or read-only?"
    done <"$list"
}

put_back() {
    local name
    [ -d "$KEPT" ] || return 0
    mkdir -p /var/lib/kubelet
    while IFS= read -r -d '' name; do
        if [ -d "/var/lib/kubelet/$name" ] && [ -d "$KEPT/$name" ]; then
            cp -an -- "$KEPT/$name/." "/var/lib/kubelet/$name/" && rm -rf -- "${KEPT:?}/$name"
        else
            mv -fT -- "$KEPT/$name" "/var/lib/kubelet/$name"
        fi || fail "cannot move $KEPT/$name back to /var/lib/kubelet: is the disk full or read-only?"
    done < <(find "$KEPT/" -mindepth 1 -maxdepth 1 -printf '%f\0')
    rmdir -- "$KEPT"
}

# reset_etcd: only what has been recorded as ours, or is of a control plane that has joined: kubeadm starts with an empty folder.
# On a worker, whatever its role in the config is by now, and on a host that was refused, it is somebody's.
reset_etcd() {
    if [ -e "$ETCD_OURS" ] || { [ -e "$SENTINEL" ] && [ "${TK_ROLE:-control-plane}" = control-plane ] && ! owned "$SENTINEL" join; }; then
        if [ -d "$ETCD_DATA" ]; then
            unmount_below "$ETCD_DATA"
            # A disk of its own has a folder for what its checker finds, which was there before (check_etcd_data).
            find "$ETCD_DATA/" -xdev -mindepth 1 ! -path "$ETCD_DATA/lost+found" ! -path "$ETCD_DATA/lost+found/*" -delete
            sync -- "$ETCD_DATA"
        fi
        rm -f -- "$ETCD_OURS"
    fi
    if [ -s "$ETCD_MODE" ]; then
        [ ! -d "$ETCD_DATA" ] || chmod "$(cat "$ETCD_MODE")" "$ETCD_DATA"
        rm -f "$ETCD_MODE"
    fi
}

# restore_modes: of the files that are still as tighten_modes has left them.
restore_modes() {
    local mode path
    [ -e "$NARROWED" ] || return 0
    while read -r mode path; do
        [ ! -f "$path" ] || [ "$(stat -c %a "$path")" != 600 ] || chmod "$mode" "$path" || fail "cannot give $path its mode $mode back: is the disk read-only?"
    done <"$NARROWED"
    rm -f "$NARROWED"
}

# reset_node: away with everything that kubeadm, the kubelet and Cilium left, from a half-made node as from a whole one.
reset_node() {
    local folder
    systemctl stop kubelet 2>/dev/null || true
    systemctl reset-failed kubelet 2>/dev/null || true
    # Before kubeadm: it removes the containers.
    remember_cilium_image
    # And it empties the folder of volumes that it could not unmount, and of what was there before.
    unmount_below /var/lib/kubelet
    set_aside
    if command -v kubeadm >/dev/null && { [ -d /etc/kubernetes/manifests ] || [ -e /etc/kubernetes/kubelet.conf ]; }; then
        # Out of etcd it is taken by who is still in: from here kubeadm would wait for members that may be gone, too.
        timeout --kill-after=10 120 kubeadm reset --force --skip-phases=remove-etcd-member --cri-socket unix:///run/containerd/containerd.sock >>"$KUBEADM_LOG" 2>&1 || true
        changed "kubeadm reset"
    fi
    put_back
    # What is left of pods if reset gave up.
    end_containers
    reset_cilium
    reset_cni
    for folder in "${NODE_FOLDERS[@]}"; do clear_folder "$folder"; done
    reset_etcd
    restore_modes
    rm -f "$SENTINEL"
}
