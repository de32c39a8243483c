# shellcheck shell=bash
# Stage checks, on the first control plane: is every address where it was declared, and does every path between every
# pair of nodes work? The probes need no image but the pause image that every node has: they run the host's own bash,
# socat, getent and ping, mounted read-only, inside a pod's network.
# Given (beside node.sh's): TK_NODES ("name=ip" words), TK_CONTROL_PLANES (names), TK_PAUSE_IMAGE, TK_POD_MTU (bytes),
# TK_UNDERLAY_MTU (bytes; of the interfaces that carry it), TK_TUNNEL_PORT, TK_READY_SECONDS, TK_PROBE (text of scripts/host/probe.sh).

namespace=tailkube-checks
FAILURES=()
failed() { FAILURES+=("$*"); }

kubectl_checks() { kubectl_admin -n "$namespace" "$@"; }
forget_probes() { kubectl_admin delete namespace "$namespace" --ignore-not-found --wait="${1:-false}" --timeout=90s >/dev/null 2>&1 || true; }

check_addresses() {
    local node name ip internal ready members
    # What cannot be asked is a finding below: an empty answer, not the end of the script.
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        internal=$(kubectl_admin get node "$name" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}' 2>/dev/null) || true
        [ "$internal" = "$ip" ] || failed "$name: INTERNAL-IP is '$internal', declared $ip; look at node-ip in /var/lib/kubelet/kubeadm-flags.env on it"
        ready=$(kubectl_admin get node "$name" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) || true
        [ "$ready" = True ] || failed "$name: not Ready; try 'kubectl describe node $name' and 'journalctl -u kubelet' on it"
    done
    # The certificate of each API server must name the address that it is reached by: kubectl verifies it.
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        [[ " $TK_CONTROL_PLANES " == *" $name "* ]] || continue
        [ "$(kubectl_admin --server "https://$ip:$TK_API_PORT" get --raw /readyz 2>/dev/null)" = ok ] ||
            failed "$name: its API server does not answer at https://$ip:$TK_API_PORT under a certificate for that address"
        kubectl_admin get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o 'jsonpath={.items[*].endpoints[*].addresses[*]}' | grep -qwF "$ip" ||
            failed "$name: its API server does not advertise $ip (endpoints of service default/kubernetes)"
    done
    [ "$(kubectl_admin --server "https://$TK_ENDPOINT:$TK_ENDPOINT_PORT" get --raw /readyz 2>/dev/null)" = ok ] ||
        failed "the endpoint https://$TK_ENDPOINT:$TK_ENDPOINT_PORT does not answer"
    members=$(kubectl_admin -n kube-system exec "etcd-$TK_NODE" -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
        --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key member list 2>/dev/null) || true
    [ "$(grep -c started <<<"$members")" = "$(wc -w <<<"$TK_CONTROL_PLANES")" ] || failed "etcd's members are not the control planes ($TK_CONTROL_PLANES): $(tr '\n' ';' <<<"$members")"
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        [[ " $TK_CONTROL_PLANES " == *" $name "* ]] || continue
        grep -qF "https://$ip:2380" <<<"$members" || failed "$name: etcd's peer URL is not https://$ip:2380"
    done
}

probe_manifest() {
    local node name mounts volumes path
    cat <<EOF
apiVersion: v1
kind: Namespace
metadata: {name: $namespace, labels: {pod-security.kubernetes.io/enforce: privileged}}
EOF
    for node in $TK_NODES; do
        name=${node%%=*} mounts='' volumes=''
        for path in /usr /bin /sbin /lib $([ "$(kubectl_admin get node "$name" -o 'jsonpath={.status.nodeInfo.architecture}')" != amd64 ] || echo /lib64); do
            mounts+="{name: ${path#/}, mountPath: $path, readOnly: true}, "
            volumes+="{name: ${path#/}, hostPath: {path: $path}}, "
        done
        cat <<EOF
---
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: $namespace, labels: {probe: $name}}
spec:
  nodeName: $name
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  tolerations: [{operator: Exists}]
  containers:
  - name: probe
    image: $TK_PAUSE_IMAGE
    imagePullPolicy: IfNotPresent
    command: [/usr/bin/socat, "TCP-LISTEN:8080,fork,reuseaddr", "SYSTEM:echo $name"]
    volumeMounts: [${mounts%, }]
  volumes: [${volumes%, }]
---
apiVersion: v1
kind: Service
metadata: {name: $name, namespace: $namespace}
spec: {selector: {probe: $name}, ports: [{port: 80, targetPort: 8080}]}
EOF
    done
}

probes_running() { [ "$(kubectl_checks get pods --no-headers 2>/dev/null | awk '$2 == "1/1" && $3 == "Running"' | wc -l)" = "$(wc -w <<<"$TK_NODES")" ]; }

# advice KIND FROM TO DETAIL: what to try.
advice() {
    case $1 in
    pod) if [ "$TK_NODE_NETWORK-$TK_POD_ROUTING" = lan-native ]; then
        echo "are both on one network segment, and does its switch or hypervisor let addresses of pods through? 'ip route' on $2 shows the route to $3's pod CIDR; tailkube:podRouting vxlan does without"
    elif [ "$TK_POD_ROUTING" = native ]; then
        echo "is $3's pod CIDR approved as a route in the tailnet, and does the policy let the pod CIDR through? 'tailscale status' and 'ip route show table 52' on $2 show what it accepts"
    elif [[ $4 == *"itself answers"* ]]; then
        echo "UDP $TK_TUNNEL_PORT is lost between $2 and $3: open it both ways in firewalls and security groups, or choose another port with tailkube:tunnelPort.$([ "$TK_NODE_NETWORK" != lan ] || echo " If it is open, try checksumOffload: false on both.") 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end"
    else
        echo "is UDP $TK_TUNNEL_PORT open between $2 and $3? 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end, tailkube:tunnelPort changes the port"
    fi ;;
    service) echo "'cilium-dbg service list' in the agent on $2 shows the service's backends" ;;
    dns) echo "'kubectl -n kube-system logs -l k8s-app=kube-dns'; a CoreDNS pod on another node is reached by the path between the nodes" ;;
    mtu) if [ "$TK_NODE_NETWORK" = lan ]; then
        echo "do the interfaces of both nodes and all switches between them pass $TK_UNDERLAY_MTU bytes? Set what they do pass as the MTU of the nodes' interfaces"
    else
        echo "is tailscale0's MTU on both nodes what tailkube:tailnetMtu says ('ip link show tailscale0')?"
    fi ;;
    esac
}

check_paths() {
    local node name peers='' coredns line kind from to detail count
    forget_probes true
    probe_manifest | kubectl_admin apply -f - >/dev/null || fail "cannot start the probes in namespace $namespace"
    if ! poll "$TK_READY_SECONDS" probes_running; then
        failed "probes that do not run: $(kubectl_checks get pods --no-headers 2>/dev/null | awk '$2 != "1/1" || $3 != "Running" {print $1 " is " $3}' | paste -sd';' -); try 'kubectl -n $namespace describe pods'"
        return
    fi
    for node in $TK_NODES; do
        name=${node%%=*}
        peers+="$name=$(kubectl_checks get pod "$name" -o 'jsonpath={.status.podIP}')=$(kubectl_checks get service "$name" -o 'jsonpath={.spec.clusterIP}')=${node#*=} "
    done
    coredns=$(kubectl_admin -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={range .items[*]}{.spec.nodeName}={.status.podIP} {end}')
    for node in $TK_NODES; do
        name=${node%%=*}
        timeout 300 kubectl --kubeconfig /etc/kubernetes/admin.conf -n "$namespace" exec -i "$name" -- /bin/bash -s -- "$name" "$namespace" "$TK_POD_MTU" "$coredns" "$peers" <<<"$TK_PROBE" >"$TK_RUN/probe.$name" 2>"$TK_RUN/probe.$name.err" &
    done
    wait
    for node in $TK_NODES; do
        name=${node%%=*}
        grep -q '^done ' "$TK_RUN/probe.$name" || failed "$name: the probe could not be run there through the kubelet: $(log_tail "$TK_RUN/probe.$name.err" 2)"
        while read -r line kind from to detail; do
            [ "$line" = failed ] && failed "$kind from $from to $to: $detail; $(advice "$kind" "$from" "$to" "$detail")"
        done <"$TK_RUN/probe.$name"
        count=$(awk '$1 == "done" {print $2}' "$TK_RUN/probe.$name")
        # A probe that did not run has counted nothing.
        PATHS=$((PATHS + ${count:-0}))
    done
    rm -f "$TK_RUN"/probe.*
}

apply() {
    PATHS=0
    trap forget_probes EXIT
    check_addresses
    check_paths
    if [ ${#FAILURES[@]} -gt 0 ]; then
        fail "${#FAILURES[@]} of the checks failed:$(printf '\n  - %s' "${FAILURES[@]:0:20}")"
    fi
    result paths "$PATHS" nodes "$(wc -w <<<"$TK_NODES")"
}
