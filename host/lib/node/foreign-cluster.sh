# shellcheck shell=bash
# requires: lib/units
# What another Kubernetes has on a host.

# foreign_distributions: "NAME PATH" of each other Kubernetes that has left its own files. A folder that its uninstaller has emptied is none.
foreign_distributions() {
    local name path
    while read -r name path; do
        ! has_content "$path" || printf '%s %s\n' "$name" "$path"
    done <<'END'
k3s /var/lib/rancher/k3s
k3s /etc/rancher/k3s
rke2 /var/lib/rancher/rke2
rke2 /etc/rancher/rke2
microk8s /var/snap/microk8s
k8s /var/snap/k8s
kubelet /var/snap/kubelet
k0s /var/lib/k0s
k0s /etc/k0s
minikube /var/lib/minikube
END
    # Of older versions, and of Rancher's agents.
    for path in /var/lib/rancher/*; do
        case $path in */k3s | */rke2 | *.old) ;; *) ! has_content "$path" || printf 'rancher %s\n' "$path" ;; esac
    done
}

has_content() { [ -e "$1" ] && { [ ! -d "$1" ] || [ -n "$(ls -A "$1" 2>/dev/null)" ]; }; }

# kubeadm_files: what kubeadm makes, and takes for its own where it is there. kubelet's package keeps a folder by an empty file.
kubeadm_files() {
    local path
    for path in /etc/kubernetes/kubelet.conf /etc/kubernetes/admin.conf; do
        [ ! -e "$path" ] || printf '%s ' "$path"
    done
    find /etc/kubernetes/manifests /etc/kubernetes/pki -mindepth 1 ! -type d ! -name .kubelet-keep -printf '%p ' 2>/dev/null | head -c 200 || true
}

# foreign_kubernetes: what of another cluster is on the host, in words; nothing if there is none. For hosts that are not ours.
foreign_kubernetes() {
    kubeadm_files
    foreign_distributions | awk '{printf "%s ", $2}'
}

# uninstaller NAME PATH...: the script that the distribution brought, or what moves its files out of the way.
uninstaller() {
    local name=$1 script path found=
    shift
    for script in /usr/local/bin/"$name"{,-agent}-uninstall.sh /usr/bin/"$name"-uninstall.sh /opt/rke2/bin/"$name"-uninstall.sh; do
        [ ! -x "$script" ] || {
            printf %s "$script"
            return
        }
    done
    for path in "$@"; do found+="${found:+ && }mv $path $path.old"; done
    printf %s "$found"
}

# foreign_removal: the commands that remove what foreign_kubernetes has found, in words; nothing if that is nothing.
foreign_removal() {
    local found name paths said=
    found=$(foreign_distributions)
    while read -r name; do
        [ -n "$name" ] || continue
        paths=$(awk -v name="$name" '$1 == name {print $2}' <<<"$found")
        said+="${said:+; }"
        # shellcheck disable=SC2086  # a list of paths without blanks
        case $name in
        microk8s | k8s | kubelet) said+="snap remove --purge $name" ;;
        k0s) said+="k0s stop && k0s reset, and reboot" ;;
        minikube) said+="minikube delete --all --purge" ;;
        *) said+=$(uninstaller "$name" $paths) ;;
        esac
    done < <(awk '!seen[$1]++ {print $1}' <<<"$found")
    # The files may be those of the distribution.
    if [ -n "$(kubeadm_files)" ]; then said+="${said:+; }kubeadm reset"; fi
    printf %s "$said"
}

# foreign_containers: those that containerd holds in Kubernetes' own namespace, where kubelet and `remove` end all there are.
foreign_containers() {
    local runs
    command -v ctr >/dev/null || return 0
    runs=$(unit_answer containerd.service) || return
    [ "$runs" = yes ] || return 0
    timeout 20 ctr -n k8s.io containers ls -q | tr '\n' ' ' | cut -c 1-200
}
