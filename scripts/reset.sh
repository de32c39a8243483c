# shellcheck shell=bash
# The way out of a cluster, for the stages that made a host its node, and for what is below them when those have failed.

KUBEADM_LOG=/var/log/tailkube-kubeadm.log
# Written last, when everything that the stage promises is true. admin.conf is no such sign: a half-failed init leaves it.
SENTINEL=$TK_STATE/joined
ETCD_DATA=/var/lib/etcd
# The mode that its folder had before it was narrowed.
ETCD_MODE=$TK_STATE/etcd-mode

# reset_node: away with everything that kubeadm, the kubelet and Cilium left, from a half-made node as from a whole one.
reset_node() {
    local mount
    if command -v kubeadm >/dev/null && { [ -d /etc/kubernetes/manifests ] || [ -e /etc/kubernetes/kubelet.conf ]; }; then
        # Out of etcd it is taken by who is still in: from here kubeadm would wait for members that may be gone, too.
        timeout --kill-after=10 120 kubeadm reset --force --skip-phases=remove-etcd-member --cri-socket unix:///run/containerd/containerd.sock >>"$KUBEADM_LOG" 2>&1 || true
        changed "kubeadm reset"
    fi
    systemctl stop kubelet 2>/dev/null || true
    systemctl reset-failed kubelet 2>/dev/null || true
    # What is left of pods if reset gave up.
    if systemctl is-active --quiet containerd; then
        ctr -n k8s.io tasks ls -q 2>/dev/null | xargs -r -n 1 ctr -n k8s.io tasks kill -s SIGKILL >/dev/null 2>&1 || true
        ctr -n k8s.io tasks ls -q 2>/dev/null | xargs -r -n 1 timeout 20 ctr -n k8s.io tasks rm -f >/dev/null 2>&1 || true
        ctr -n k8s.io containers ls -q 2>/dev/null | xargs -r -n 20 ctr -n k8s.io containers rm >/dev/null 2>&1 || true
    fi
    for mount in /run/netns/cni-*; do
        [ ! -e "$mount" ] || ip netns del "${mount##*/}" 2>/dev/null || true
    done
    while read -r mount; do umount -l -- "$mount" 2>/dev/null || true; done < <(awk '$2 ~ "^/var/lib/kubelet/" {print $2}' /proc/mounts | tac)
    reset_cilium
    # Emptied, not removed: a containerd whose CNI folder goes away ends itself.
    find /etc/cni/net.d -mindepth 1 -delete 2>/dev/null || true
    rm -rf /etc/kubernetes
    find /var/lib/kubelet -mindepth 1 -delete 2>/dev/null || true
    # A worker has none of ours: what is there is somebody else's.
    [ "${TK_ROLE:-control-plane}" = worker ] || find "$ETCD_DATA" -mindepth 1 -delete 2>/dev/null || true
    if [ -s "$ETCD_MODE" ]; then
        chmod "$(cat "$ETCD_MODE")" "$ETCD_DATA"
        rm -f "$ETCD_MODE"
    fi
    rm -rf /var/lib/cni
    rm -f "$SENTINEL"
    find /var/log/pods /var/log/containers -mindepth 1 -delete 2>/dev/null || true
}
