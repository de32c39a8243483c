# shellcheck shell=bash
# requires: lib/units
# What another Kubernetes has on a host.

# foreign_kubernetes: what of another cluster is on the host, in words; nothing if there is none. For hosts that are not ours.
foreign_kubernetes() {
    local path
    for path in /etc/kubernetes/kubelet.conf /etc/kubernetes/admin.conf /var/lib/rancher /var/snap/microk8s /var/lib/k0s; do
        [ ! -e "$path" ] || printf '%s ' "$path"
    done
    # kubeadm makes these, and takes what is there for its own. kubelet's package keeps a folder by an empty file.
    find /etc/kubernetes/manifests /etc/kubernetes/pki -mindepth 1 ! -type d ! -name .kubelet-keep -printf '%p ' 2>/dev/null | head -c 200 || true
}

# foreign_containers: those that containerd holds in Kubernetes' own namespace, where kubelet and `remove` end all there are.
foreign_containers() {
    local runs
    command -v ctr >/dev/null || return 0
    runs=$(unit_answer containerd.service) || return
    [ "$runs" = yes ] || return 0
    timeout 20 ctr -n k8s.io containers ls -q | tr '\n' ' ' | cut -c 1-200
}
