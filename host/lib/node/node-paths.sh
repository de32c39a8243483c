# shellcheck shell=bash
# Where a node keeps what is its own, and the records that say so.
# shellcheck disable=SC2034  # for the files that require this one

KUBEADM_LOG=/var/log/tailkube-kubeadm.log
# Written last, when everything that the stage promises is true. admin.conf is no such sign: a half-failed init leaves it.
SENTINEL=$TK_STATE/joined
ETCD_DATA=/var/lib/etcd
# The mode that its folder had before it was narrowed.
ETCD_MODE=$TK_STATE/etcd-mode

# There from before the first byte of ours in ETCD_DATA: only then is what is in it the cluster's.
ETCD_OURS=$TK_STATE/etcd-ours

# What kubeadm, the kubelet and containerd fill for a node, and others may have used before.
NODE_FOLDERS=(/etc/kubernetes /var/lib/kubelet /var/log/pods /var/log/containers)

# What other networks of this host have here stays: nerdctl's folders, podman's networks.
CNI_CONFIGS=/etc/cni/net.d
CNI_CACHE=/var/lib/cni

# Files of packages and of others whose modes tighten_modes has narrowed to 600: "MODE PATH" lines, as they were before.
NARROWED=$TK_STATE/modes
