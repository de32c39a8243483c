#!/bin/bash
# The cluster by hand: what a person would run who has read how it is done, once, from nothing to Ready. The yardstick for
# the time that `up` takes, so it is quick: hosts in parallel, one SSH connection each, no checks, no way back, nothing that
# could be run twice.
#   plain.sh cluster DIR        the nodes in DIR/nodes
#   plain.sh worker DIR NAME    one more
# DIR is written by documents.ts: settings, nodes, authkey-ROLE, token, ca-hash (once there is a cluster), containerd-*.toml,
# cilium-values.yaml, kubeadm/NAME.yaml.
set -euo pipefail
# A job that fails is seen by who waits for it.
[ $# -ge 2 ] || {
    sed -n '5,6s/^# *//p' "$0" >&2
    exit 2
}
verb=$1 dir=$2
# shellcheck source=/dev/null
. "$dir/settings"

# Not below DIR: the path of a socket is limited to 107 bytes.
sockets=$(mktemp -d)
finish() {
    local socket
    # shellcheck disable=SC2046  # process IDs
    kill $(jobs -p) 2>/dev/null || true
    for socket in "$sockets"/*; do ssh -o "ControlPath=$socket" -O exit - 2>/dev/null || true; done
    rm -rf "$sockets"
}
trap finish EXIT
said() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

ssh_options=(-i "$SSH_KEY" -o BatchMode=yes -o LogLevel=ERROR -o ConnectTimeout=10 -o StrictHostKeyChecking=accept-new
    -o "UserKnownHostsFile=$dir/known_hosts" -o ControlMaster=auto -o "ControlPath=$sockets/%C" -o ControlPersist=60)
# on NAME VARIABLE=VALUE...: the script on stdin, on that host, with these variables.
on() {
    local address variable
    address=$(awk -v name="$1" '$1 == name {print $3}' "$dir/nodes")
    {
        printf 'set -euo pipefail\nmain() {\n'
        for variable in "${@:2}"; do printf '%s=%q\n' "${variable%%=*}" "${variable#*=}"; done
        cat
        # What main runs must not take the rest of the script for its input.
        printf '}\nmain </dev/null\n'
    } | ssh "${ssh_options[@]}" "root@$address" bash -s
}

# Binaries, units, kernel settings, the tailnet, images. Prints the tailnet address.
prepare() {
    on "$1" name="$1" role="$2" bundle="$BUNDLE" key="$(cat "$dir/authkey-$2")" server="$LOGIN_SERVER" pods="$POD_CIDR" \
        routing="$POD_ROUTING" containerd_1="$(cat "$dir/containerd-1.toml")" containerd_2="$(cat "$dir/containerd-2.toml")" \
        >"$dir/address.$1" <<'EOF'
exec 3>&1 1>&2
cat >/etc/sysctl.d/90-kubernetes.conf <<'END'
net.ipv4.ip_forward = 1
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
END
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf || true
mkdir -p /lib/modules /etc/containerd
# Both network managers would take away what Tailscale and Cilium set up.
if systemctl is-active --quiet systemd-networkd; then
    mkdir -p /etc/systemd/networkd.conf.d
    printf '[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n' >/etc/systemd/networkd.conf.d/50-kubernetes.conf
    systemctl restart systemd-networkd
fi
if systemctl is-active --quiet NetworkManager; then
    printf '[keyfile]\nunmanaged-devices+=interface-name:tailscale0;interface-name:cilium_*;interface-name:lxc*\n' >/etc/NetworkManager/conf.d/50-kubernetes.conf
    systemctl reload NetworkManager
fi

install -m 0755 -t /usr/local/sbin "$bundle/bin/tailscaled"
install -m 0755 -t /usr/local/bin "$bundle"/bin/{tailscale,kubelet,kubeadm,kubectl}
cat >/etc/systemd/system/tailscaled.service <<'END'
[Unit]
After=network-pre.target NetworkManager.service systemd-networkd.service
[Service]
Type=notify
ExecStart=/usr/local/sbin/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --port=41641
Restart=on-failure
RuntimeDirectory=tailscale
StateDirectory=tailscale
[Install]
WantedBy=multi-user.target
END
cat >/etc/systemd/system/kubelet.service <<'END'
[Unit]
After=network-online.target containerd.service tailscaled.service
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=10
[Install]
WantedBy=multi-user.target
END
# A host may have its distribution's containerd, which is another major.
if command -v containerd >/dev/null; then
    printf '%s\n' "$containerd_1" >/etc/containerd/config.toml
else
    printf '%s\n' "$containerd_2" >/etc/containerd/config.toml
    install -m 0755 -t /usr/local/bin "$bundle"/bin/{containerd,containerd-shim-runc-v2,ctr}
    cat >/etc/systemd/system/containerd.service <<'END'
[Unit]
After=network.target
[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999
[Install]
WantedBy=multi-user.target
END
fi
systemctl daemon-reload
systemctl --quiet enable tailscaled containerd kubelet
systemctl restart tailscaled containerd

tailscale up --auth-key="$key" --login-server="$server" --hostname="$name" \
    --accept-dns=false --accept-routes --snat-subnet-routes=false --timeout=90s
if [ "$routing" = native ]; then
    # Tailscale would take some pods' marks for its own.
    ip rule add pref 5200 fwmark 0xf00/0xf00 to "$pods" lookup 52
    nft -f - <<END
table inet kubernetes {
    chain output { type filter hook output priority filter; ip daddr $pods udp sport 41641 drop; }
}
END
fi
while read -r _ path roles; do
    [[ ,$roles, != *,$role,* ]] || ctr -n k8s.io images import "$bundle/$path" >/dev/null
done <"$bundle/images.list"
tailscale ip -4 >&3
EOF
    said "$1 prepared"
}

# document NAME: its kubeadm document, with what is known only now.
document() {
    sed "s/@ADDRESS@/$(cat "$dir/address.$1")/g; s/@CA_HASH@/$(cat "$dir/ca-hash" 2>/dev/null || true)/g" "$dir/kubeadm/$1.yaml"
}

# What a new node's routes are: its pods', and the endpoint's on a control plane.
# shellcheck disable=SC2016  # for the host's shell
advertise='
advertise() {
    local cidr="" routes=$1 end=$((SECONDS + 90))
    if [ "$routing" = native ]; then
        until cidr=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node "$name" -o "jsonpath={.spec.podCIDR}") && [ -n "$cidr" ]; do
            [ "$SECONDS" -lt "$end" ]
            sleep 0.5
        done
        routes=${routes:+$routes,}$cidr
    fi
    [ -z "$routes" ] || tailscale set --advertise-routes="$routes"
}'

init() {
    { echo "$advertise" && cat <<'EOF'; } | on "$1" name="$1" document="$(document "$1")" endpoint="$ENDPOINT" routing="$POD_ROUTING" >"$dir/init.log"
ip address add "$endpoint/32" dev lo
tailscale set --advertise-routes="$endpoint/32"
(umask 077 && printf '%s\n' "$document" >/root/kubeadm.yaml)
kubeadm init --upload-certs --config /root/kubeadm.yaml >&2
advertise "$endpoint/32"
openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | sed 's/^/sha256:/; s/ .*//'
cat /etc/kubernetes/admin.conf
EOF
    head -n 1 "$dir/init.log" >"$dir/ca-hash"
    (umask 077 && tail -n +2 "$dir/init.log" | sed "s#server: .*#server: https://$(awk 'NR == 1 {print $3}' "$dir/nodes"):$ENDPOINT_PORT#" >"$dir/kubeconfig")
    rm "$dir/init.log"
    said "$1 has initialised the cluster"
}

join() {
    { echo "$advertise" && cat <<'EOF'; } | on "$1" name="$1" role="$2" document="$(document "$1")" endpoint="$ENDPOINT" port="$ENDPOINT_PORT" routing="$POD_ROUTING" >&2
ready() {
    local end=$((SECONDS + 120))
    until [ "$(curl -sk --max-time 5 "https://$1:$port/readyz")" = ok ]; do
        [ "$SECONDS" -lt "$end" ]
        sleep 0.5
    done
}
(umask 077 && printf '%s\n' "$document" >/root/kubeadm.yaml)
ready "$endpoint"
kubeadm join --config /root/kubeadm.yaml
if [ "$role" = control-plane ]; then
    # Not before: a joiner that has the endpoint talks to itself.
    ready "$(tailscale ip -4)"
    ip address add "$endpoint/32" dev lo
    advertise "$endpoint/32"
else
    advertise ""
fi
EOF
    said "$1 has joined"
}

kubectl() { "$KUBECTL" --kubeconfig "$dir/kubeconfig" "$@"; }

wait_until_ready() {
    kubectl wait --for=condition=Ready --timeout=300s nodes --all
    kubectl -n kube-system rollout status --timeout=300s daemonset/cilium
    kubectl -n kube-system rollout status --timeout=300s deployment/coredns
    said "Ready"
}

make_cluster() {
    local name role _ first='' jobs=() job
    local -A prepared=()
    while read -r name role _; do
        prepare "$name" "$role" &
        prepared[$name]=$!
        first=${first:-$name}
    done <"$dir/nodes"
    wait "${prepared[$first]}"
    init "$first"
    "$HELM" --kubeconfig "$dir/kubeconfig" -n kube-system install cilium "$CHART" --values "$dir/cilium-values.yaml" >/dev/null &
    jobs+=($!)
    # Only this shell can wait for the jobs, so the workers' joins begin when theirs are prepared.
    while read -r name role _; do
        if [ "$role" = worker ]; then
            wait "${prepared[$name]}"
            join "$name" "$role" &
            jobs+=($!)
        fi
    done <"$dir/nodes"
    while read -r name role _; do
        if [ "$role" = control-plane ] && [ "$name" != "$first" ]; then
            wait "${prepared[$name]}"
            join "$name" "$role" </dev/null
        fi
    done <"$dir/nodes"
    for job in "${jobs[@]}"; do wait "$job"; done
    wait_until_ready
}

make_worker() {
    local first
    first=$(awk 'NR == 1 {print $1}' "$dir/nodes")
    prepare "$1" worker &
    on "$first" token="$(cat "$dir/token")" >/dev/null <<'EOF'
kubeadm token create "$token" --ttl 10m
EOF
    wait $!
    join "$1" worker
    wait_until_ready
}

case $verb in
cluster) make_cluster ;;
worker) make_worker "$3" ;;
*)
    echo "plain.sh: unknown verb $verb" >&2
    exit 2
    ;;
esac
