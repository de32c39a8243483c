# shellcheck shell=bash
# What `tailkube status` asks a host. After questions.sh.
# Given: TK_ROLE, TK_NODE_IP, TK_API_PORT, TK_ENDPOINT, TK_ENDPOINT_PORT, TK_ENDPOINT_KIND (vip, or absent), TK_NODE_NETWORK.
# shellcheck disable=SC2317  # functions that `question` calls by their name

# Both are JSON, an object a line; the paths that exist.
disks() {
    for path in "$@"; do
        [ ! -e "$path" ] || stat -f -c "{\"path\":\"$path\",\"id\":\"%i\",\"block\":%S,\"blocks\":%b,\"free\":%f,\"available\":%a,\"files\":%c,\"filesFree\":%d}" "$path"
    done
}
snapshots() {
    [ ! -d "$1" ] || find "$1" -maxdepth 1 -type f -name '*.db' -printf '%T@ %s %f\0'
}

# public_certificates FILE...: `# FILE` and its first certificate, PEM. Never a key.
public_certificates() {
    for file in "$@"; do
        [ -f "$file" ] || continue
        printf '# %s\n' "$file"
        case $file in
        *.conf) sed -n 's/^ *client-certificate-data: *//p' "$file" | head -n 1 | base64 -d ;;
        *) cat -- "$file" ;;
        esac | sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/{p; /^-----END/q}'
    done
}

readyz() { curl -sSk --max-time 6 --noproxy '*' "https://$1/readyz"; }

# From the API server of this host itself, not through the endpoint. --raw needs no cache.
api() { exec kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=8s "--server=https://$1" get --raw "$2"; }

# Read by the static pods' kubelet from there; names alone.
manifests() { find /etc/kubernetes/manifests -maxdepth 1 -name '*.yaml' -printf '%f\n'; }

control_plane_questions() {
    local etcd=/usr/local/lib/tailkube/etcd own=$TK_NODE_IP:$TK_API_PORT
    question ready 8 readyz "$own"
    question nodes 12 api "$own" /api/v1/nodes
    question daemonsets 12 api "$own" /apis/apps/v1/namespaces/kube-system/daemonsets
    question deployments 12 api "$own" /apis/apps/v1/namespaces/kube-system/deployments
    question manifests 5 manifests
    question etcdMembers 12 "$etcd" ctl --command-timeout=6s --write-out=json member list
    question etcdStatus 15 "$etcd" ctl --command-timeout=6s --write-out=json endpoint status --cluster
    question etcdHealth 15 "$etcd" ctl --command-timeout=6s --write-out=json endpoint health --cluster
    question snapshots 5 snapshots /var/lib/tailkube/snapshots
}

main() {
    local units=(kubelet.service containerd.service tailscaled.service tailkube-{address,cilium,endpoint,load-balancer,network,routes}.service tailkube-approve.timer)
    question time 5 date +%s
    question kernel 5 uname -r
    question kubelet 8 kubelet --version
    question containerd 8 containerd --version
    question units 8 systemctl show --property=Id,LoadState,ActiveState,SubState,UnitFileState "${units[@]}"
    question disks 5 disks / /var /var/lib/etcd /var/lib/containerd /var/lib/kubelet /var/log /tmp /boot
    question certificates 5 public_certificates /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /etc/kubernetes/{admin,super-admin,controller-manager,scheduler}.conf \
        /var/lib/kubelet/pki/kubelet-{client,server}-current.pem
    question endpoint 8 readyz "$TK_ENDPOINT:$TK_ENDPOINT_PORT"
    if [ "$TK_NODE_NETWORK" = tailnet ]; then
        question tailscale 8 tailscale status --json
        question prefs 8 tailscale debug prefs
        question loopback 5 ip -j -4 address show dev lo
    elif [ "$TK_ROLE-${TK_ENDPOINT_KIND:-}" = control-plane-vip ]; then
        question vip 5 ip -j -4 address show to "$TK_ENDPOINT/32"
    fi
    [ "$TK_ROLE" != control-plane ] || control_plane_questions
    print_answers
}
