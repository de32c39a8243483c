#!/bin/bash
# Snapshots of the cluster's state, on a control plane. It works by the container itself, not by the API, which may be
# what is broken.
#   etcd snapshot FILE      a verified snapshot in FILE, for its owner alone
#   etcd ctl ARGUMENT...    etcdctl with this member's address and certificates, for example: etcd ctl member list
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# etcd's own folder is the one that the container and the host share.
shared=/var/lib/etcd/tailkube-snapshot.db
connection=(--endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt
    --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key)

fail() {
    echo "etcd: $*" >&2
    exit 1
}

# The container that runs; the kubelet keeps an ended one beside it. Prints nothing if none runs, and fails if containerd does not
# answer.
container() {
    local containers tasks
    containers=$(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.container.name"==etcd,labels."io.kubernetes.pod.namespace"==kube-system' 2>/dev/null) || return
    tasks=$(ctr -n k8s.io tasks ls 2>/dev/null) || return
    awk 'NR == FNR {if ($3 == "RUNNING") runs[$1]; next} $1 in runs {print $1; exit}' <(printf '%s\n' "$tasks") <(printf '%s\n' "$containers")
}

# inside COMMAND...: run in etcd's container.
inside() {
    local id
    id=$(container) || fail "containerd does not answer ('ctr -n k8s.io tasks ls'), so it is not known whether etcd runs on this host; see 'systemctl status containerd'"
    [ -n "$id" ] || fail "no etcd runs on this host: is it a control plane, and is its kubelet running?"
    timeout --kill-after=5 300 ctr -n k8s.io tasks exec --exec-id "tailkube-$$-$RANDOM" "$id" "$@" </dev/null
}

# has_etcdutl: whether etcd's image has it; no answer is not a no.
has_etcdutl() {
    local said tries
    for tries in 1 2 3; do
        said=$(inside etcdutl version 2>&1) && return
        [[ $said != *'executable file not found'* ]] || return 1
        [ "$tries" = 3 ] || sleep 1
    done
    fail "no answer to the question whether etcd's image has etcdutl, so the snapshot could not be verified: $(tail -n 1 <<<"$said")"
}

snapshot() {
    local said report
    # Not local: the trap reads it.
    file=$1
    [ ! -e "$file" ] || fail "$file is there already; name another file"
    [ -d "$(dirname "$file")" ] || fail "the folder $(dirname "$file") does not exist"
    (umask 077 && mkdir -p /run/tailkube)
    exec 8>/run/tailkube/etcd.lock
    flock -w 300 8 || fail "another snapshot is still being made"
    trap 'rm -f "$shared" "$shared.part" "$file.part"' EXIT
    # What a killed run left; etcdctl would not overwrite it.
    rm -f "$shared" "$shared.part"
    said=$(inside etcdctl "${connection[@]}" snapshot save "$shared" 2>&1) || fail "no snapshot could be made: $(tail -n 1 <<<"$said")"
    # The images of Kubernetes 1.34 and older lack the tool that adds up the hash of the whole file; etcdctl itself has
    # compared what it received with what was sent.
    report=
    if has_etcdutl; then
        # ctr has warnings of its own to say.
        report=$(inside etcdutl snapshot status "$shared" --write-out=json 2>/dev/null) || fail "the snapshot is damaged: etcdutl cannot read it"
    fi
    (umask 077 && cp -- "$shared" "$file.part")
    sync -- "$file.part"
    mv -- "$file.part" "$file"
    sync -- "$(dirname "$file")"
    echo "$file${report:+ $report}"
}

case ${1:-} in
snapshot)
    if [ $# = 2 ]; then
        snapshot "$2"
        exit
    fi
    ;;
ctl)
    shift
    inside etcdctl "${connection[@]}" "$@"
    exit
    ;;
esac
echo "usage: etcd snapshot FILE | etcd ctl ARGUMENT..." >&2
exit 2
