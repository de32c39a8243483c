# shellcheck shell=bash
# requires: lib/records/files lib/node/node-paths lib/waiting
# etcd of a control plane: its data, snapshots before an upgrade, and the way back from one.
# Given (beside kubeadm.sh's): TK_HOST_ETCD (text of host/installed/etcd.sh).

SNAPSHOTS=$TK_STATE/snapshots
# How many of the automatic ones are kept.
SNAPSHOT_COUNT=3

# check_etcd_data: fails unless etcd's folder is empty, or what is in it is ours.
check_etcd_data() {
    local found
    [ ! -e "$ETCD_OURS" ] && { [ -e "$ETCD_DATA" ] || [ -L "$ETCD_DATA" ]; } || return 0
    # A file system has a lost+found of its own.
    found=$(find "$ETCD_DATA/" -mindepth 1 -maxdepth 1 ! -name lost+found -printf '%f\n' 2>/dev/null | sort | awk 'NR <= 3' | paste -sd' ' -) ||
        fail "cannot read $ETCD_DATA. etcd needs an empty folder there, or none"
    [ -z "$found" ] || fail "$ETCD_DATA on this host has data that this program did not put there ($found), and etcd needs an empty folder. Nothing was changed. Move the data away and stop what uses it, or choose another host"
}

# claim_etcd_data: right before the first byte.
claim_etcd_data() {
    check_etcd_data
    own_etcd_data
}

own_etcd_data() {
    [ ! -e "$ETCD_OURS" ] || return 0
    remember "$ETCD_OURS" "$TK_MARK"
}

# Without the installed copy, which belongs to the control plane's own stage.
etcd_command() { bash -c "$TK_HOST_ETCD" etcd "$@"; }

# The operator's command, /usr/local/lib/tailkube/etcd.
install_etcd_command() { install_text "$TK_LIB/etcd" 0755 "$TK_HOST_ETCD" || true; }

etcd_healthy() { etcd_command ctl --command-timeout=8s endpoint health; }

# yield_etcd_lead: another member leads before this one is cut off for a moment. etcd sees to it by itself when it is
# stopped in order, but not where its network goes: then nobody leads until an election, and requests fail meanwhile.
yield_etcd_lead() {
    local status other
    ask 60 "which member leads etcd, to etcd on this host" etcd_command ctl --command-timeout=8s endpoint status --write-out=json
    status=$ANSWER
    [ "$(sed -n 's/.*"member_id": *\([0-9]*\).*/\1/p' <<<"$status")" = "$(sed -n 's/.*"leader": *\([0-9]*\).*/\1/p' <<<"$status")" ] || return 0
    # ID, state, name, URLs of peers and of clients, whether it is a learner.
    ask 60 "which members etcd has, to etcd on this host" etcd_command ctl --command-timeout=8s member list
    other=$(awk -F ', ' -v own="$TK_NODE" '$2 == "started" && $3 != own && $6 == "false" {print $1; exit}' <<<"$ANSWER")
    [ -n "$other" ] || return 0
    if etcd_command ctl --command-timeout=8s move-leader "$other" >/dev/null 2>&1; then changed "gave the lead of etcd to another member"; fi
}

# snapshot_etcd WHAT-FOR: an automatic snapshot; the oldest of the automatic ones give way.
snapshot_etcd() {
    local file said
    # The run before may have failed after its own snapshot, in this very second.
    until file=$SNAPSHOTS/auto-$(date -u +%Y%m%dT%H%M%SZ)-$1.db && [ ! -e "$file" ]; do sleep 1; done
    own "$SNAPSHOTS"
    (umask 077 && mkdir -p "$SNAPSHOTS")
    own "$file"
    said=$(etcd_command snapshot "$file" 2>&1) || fail "no snapshot of etcd, so nothing was changed: $(tail -n 1 <<<"$said")"
    changed "etcd snapshot $file"
    # Their names sort by time.
    find "$SNAPSHOTS" -name 'auto-*.db' | sort | head -n -"$SNAPSHOT_COUNT" | while IFS= read -r file; do rm -f -- "$file"; done
}

# etcd_image DOCUMENT: the image that `kubeadm init` with that document will start etcd from; it holds the tool of the same
# version. By the document and by containerd's settings: they have the image repository and the mirrors of registries, which
# ctr does not know.
etcd_image() {
    local image document=$TK_RUN/cluster.yaml
    (umask 077 && printf '%s\n' "$1" >"$document")
    image=$(kubeadm config images list --config "$document" 2>/dev/null | grep '/etcd:') || fail "kubeadm names no image of etcd"
    ask 60 "whether containerd has $image (ctr -n k8s.io images ls)" timeout 30 ctr -n k8s.io images ls -q "name==$image"
    if [ -z "$ANSWER" ]; then
        timeout --kill-after=5 600 kubeadm config images pull --config "$document" >"$TK_RUN/pull.log" 2>&1 ||
            fail "cannot pull $image: $(log_tail "$TK_RUN/pull.log" 2)"
    fi
    rm -f "$document"
    echo "$image"
}

forget_restore() {
    ctr -n k8s.io tasks rm -f tailkube-restore >/dev/null 2>&1 || true
    ctr -n k8s.io containers rm tailkube-restore >/dev/null 2>&1 || true
    rm -rf /var/lib/etcd/.tailkube-restore
}

# etcd_restore FILE DOCUMENT: this host's etcd data is the snapshot's, with this host as its only member. For the control plane
# that inits the cluster again, before `kubeadm init --ignore-preflight-errors=DirAvailable--var-lib-etcd`.
etcd_restore() {
    local file=$1 made=$TK_STATE/restored image log=$TK_RUN/restore.log wanted
    [ -f "$file" ] || fail "tailkube:kubernetes.restoreSnapshot: there is no file $file on this host; copy the snapshot there"
    wanted="$(sha256sum "$file" | awk '{print $1}') $TK_NODE $TK_NODE_IP"
    if [ -e /var/lib/etcd/member ]; then
        # A run that was killed after this step goes on with what it made.
        [ "$(cat "$made" 2>/dev/null)" != "$wanted" ] || return 0
        fail "/var/lib/etcd on this host holds data already, and a restore would lose it; move /var/lib/etcd/member away if it is of no use"
    fi
    image=$(etcd_image "$2")
    forget_restore
    (umask 077 && mkdir -p /var/lib/etcd)
    # Watchers and caches that knew a later state must not take an old revision for a new one: the revisions jump, and
    # whoever asks for one in between is told to list anew.
    timeout --kill-after=5 600 ctr -n k8s.io run --rm --mount "type=bind,src=/var/lib/etcd,dst=/var/lib/etcd,options=rbind:rw" \
        --mount "type=bind,src=$(dirname "$file"),dst=/snapshot,options=rbind:ro" "$image" tailkube-restore \
        etcdutl snapshot restore "/snapshot/${file##*/}" --name "$TK_NODE" --initial-cluster "$TK_NODE=https://$TK_NODE_IP:2380" \
        --initial-advertise-peer-urls "https://$TK_NODE_IP:2380" --data-dir /var/lib/etcd/.tailkube-restore \
        --bump-revision 1000000000 --mark-compacted </dev/null >"$log" 2>&1 ||
        fail "etcdutl of $image could not restore $file (images of Kubernetes 1.34 and older have none): $(log_tail "$log" 3)"
    remember "$made" "$wanted"
    mv /var/lib/etcd/.tailkube-restore/member /var/lib/etcd/member
    rmdir /var/lib/etcd/.tailkube-restore
    to_disk /var/lib/etcd/member
    changed "restored etcd from $file"
}
