# shellcheck shell=bash
# requires: lib/api lib/node/node-paths lib/records/ownership lib/waiting
# What the stages that make a host a node of the cluster share: kubeadm, and the node's pod route.
# Given: TK_NODE_NETWORK (tailnet or lan), TK_ENDPOINT (in a lan it may be a DNS name), TK_ENDPOINT_PORT, TK_API_PORT (of each
# API server), TK_NODE_IP, TK_ROLE, TK_POD_ROUTING.

# What the last run of kubeadm calls errors, in one line; its last lines if it names none.
kubeadm_errors() {
    local lines
    lines=$(tac "$KUBEADM_LOG" | sed '/ kubeadm [a-z]/q' | tac | sed 's/\x1b\[[0-9;]*m//g; /stack trace/d; /^[[:space:]]*$/d')
    { grep -E '\[ERROR |^error' <<<"$lines" || tail -n 6 <<<"$lines"; } | tr -s '\n\t ' ' '
}

# node_to_disk: before each note that says what kubeadm and the kubelet have written: nothing of it is on the disk by itself.
node_to_disk() {
    local folder
    for folder in /etc/kubernetes /var/lib/kubelet; do
        [ ! -d "$folder" ] || sync -f "$folder" || fail "cannot write $folder to the disk: is it full or read-only?"
    done
}

# write_through: what kubeadm and the kubelet write is on the disk a moment later, for as long as kubeadm runs. Neither of them sees
# to it, but etcd does: without its manifest, a power cut would leave a voter that cannot start.
write_through() {
    local since=$TK_RUN/write-through files
    touch -d '2 seconds ago' "$since"
    while [ -e "$TK_RUN/kubeadm.yaml" ] && kill -0 "$$"; do
        # Once or twice each: on a slow disk every sync holds up etcd.
        touch -d '1 second ago' "$since.new"
        mapfile -d '' -t files < <(find /etc/kubernetes /var/lib/kubelet -xdev -maxdepth 3 -type f -newer "$since" -print0)
        [ ${#files[@]} = 0 ] || sync -- "${files[@]}" || true
        mv -f -- "$since.new" "$since"
        # The shell's own pause, which no caller replaces.
        command sleep 0.5
    done
    rm -f -- "$since"
}

# without_proxy COMMAND...: without what the login's environment (/etc/environment) has of a proxy: kubeadm would write it into the
# manifests of the control plane, whose parts would then ask the proxy for each other.
without_proxy() (
    for name in $(compgen -e | grep -i '_proxy$'); do unset "$name"; done
    "$@"
)

# run_kubeadm ARGUMENT...: the document may hold secrets, so it lives in /run for as long as kubeadm runs.
run_kubeadm() {
    local document=$TK_RUN/kubeadm.yaml status=0
    (umask 077 && printf '%s\n' "$TK_KUBEADM_DOCUMENT" >"$document")
    (umask 077 && : >>"$KUBEADM_LOG")
    printf '\n%s kubeadm %s\n' "$(date -Is)" "$*" >>"$KUBEADM_LOG"
    # It holds nothing open that another process waits for: neither the connection's output nor the host's lock.
    write_through </dev/null >/dev/null 2>&1 9>&- &
    without_proxy timeout --kill-after=10 "$TK_KUBEADM_SECONDS" kubeadm "$@" --config "$document" >>"$KUBEADM_LOG" 2>&1 || status=$?
    rm -f "$document"
    [ "$status" != 124 ] || fail "kubeadm $1 timed out after $TK_KUBEADM_SECONDS s; $KUBEADM_LOG on the host ends: $(log_tail "$KUBEADM_LOG")"
    [ "$status" = 0 ] || fail "kubeadm $1 failed: $(kubeadm_errors); more in $KUBEADM_LOG on the host"
}

# kubeadm points a control plane's kubelet at its own API server. By an endpoint on the loopback it reaches that one, too, as
# long as it is ready, and another one when it is not. Behind somebody's balancer it would reach any, also one that is still
# older than itself in an upgrade; there it stays with its own.
follow_endpoint() {
    local config=/etc/kubernetes/kubelet.conf server="https://$TK_ENDPOINT:$TK_ENDPOINT_PORT"
    if [ "$TK_NODE_NETWORK" = tailnet ] && ! grep -qF "server: $server" "$config"; then
        sed -i "s#^\( *server: \).*#\1$server#" "$config"
        systemctl restart kubelet || fail "cannot restart the kubelet: 'journalctl -u kubelet' on this host says why"
    fi
    wait_for 90 "the kubelet's identity reaches no API server by $config" kubectl_node get node "$TK_NODE"
}

# cluster_version KUBECTL: as that function asks for it. Nodes may read it, too; it holds the version from the moment on that the first
# control plane has been upgraded.
cluster_version() {
    "$1" -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' |
        sed -n 's/^kubernetesVersion: *"\{0,1\}v\([^"]*\)"\{0,1\}$/\1/p' | grep .
}

pod_cidr() { kubectl_node get node "$TK_NODE" -o 'jsonpath={.spec.podCIDR}'; }
known_pod_cidr() { pod_cidr | grep .; }

# ask_pod_cidr: ANSWER is the node's pod CIDR.
ask_pod_cidr() { ask 90 "which pod CIDR the controller manager has given this node, to the API" known_pod_cidr; }

# Pods are routed: the node advertises its own pod CIDR to the tailnet; in a lan Cilium itself sets the routes. The controller
# manager hands it out after the node is known.
advertise_pod_cidr() {
    [ "$TK_NODE_NETWORK-$TK_POD_ROUTING" = tailnet-native ] || return 0
    ask_pod_cidr
    "$TK_LIB/routes" set pod-cidr "$ANSWER" || fail "tailscale would not advertise the node's pod CIDR"
}

# note_membership MARK [ANNOTATION]: the node answers for itself that it has joined: admission waits for this before it takes the
# credentials back.
note_membership() { wait_for 60 "the API does not take the note that this node has joined" kubectl_node annotate --overwrite node "$TK_NODE" "tailkube.dev/joined=$1" "${@:2}"; }

write_sentinel() {
    node_to_disk
    record "$SENTINEL" "$1"
}

check_stack() {
    [ ! -e "$SENTINEL" ] || [ "$(cat "$SENTINEL")" = "$TK_MARK" ] ||
        fail "this host is already a member of a cluster that another stack created ($(cat "$SENTINEL")); destroy that one first"
}

# check_role: the preview compares roles with the last complete run. A run that failed may have given this host another role, and
# what is in its folders then belongs to that role.
check_role() {
    local other=join role=worker
    if [ "$TK_STAGE" = join ]; then other=control-plane role="control plane"; fi
    ! owned "$SENTINEL" "$other" ||
        fail "an earlier run made this host a $role, or began to. A node's role cannot change, so nothing was changed. Remove the node in one run, and add it with its new role in the next"
}
