# shellcheck shell=bash
# requires: lib/etcd-members
# Stage checks, on the first control plane: is every address where it was declared, and does every path between every
# pair of nodes work? The probes need no image but the pause image that every node has: they run the host's own bash,
# socat, getent and ping, mounted read-only, inside a pod's network.
#
# Bounds follow the hosts: how long the slowest one took to start its probe says how slow they are at the moment (with an SD
# card under load, minutes instead of seconds), and what comes after is given time in proportion.
# Given (beside node.sh's): TK_NODES ("name=ip" words), TK_CONTROL_PLANES (names), TK_PAUSE_IMAGE, TK_POD_MTU (bytes),
# TK_UNDERLAY_MTU (bytes; of the interfaces that carry it), TK_TUNNEL_PORT, TK_READY_SECONDS, TK_PROBE (text of host/installed/probe.sh).

namespace=tailkube-checks
FAILURES=()
failed() { FAILURES+=("$*"); }

kubectl_checks() { kubectl_admin -n "$namespace" "$@"; }
forget_probes() { kubectl_admin delete namespace "$namespace" --ignore-not-found --wait="${1:-false}" --timeout=90s; }

# field_of NAME WHAT JSONPATH: ANSWER is that field of the Node. A question that gets no answer is not a finding.
field_of() { ask 60 "$2 node $1 has, to the API" kubectl_admin get node "$1" --ignore-not-found -o "jsonpath=$3"; }

# ready_at SERVER: asked for a while, for one lost request does not mean that it does not answer.
says_ok() { [ "$(kubectl_admin --server "$1" get --raw /readyz)" = ok ]; }
ready_at() { poll 15 says_ok "$1"; }

check_addresses() {
    local node name ip members
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        field_of "$name" "which address" '{.status.addresses[?(@.type=="InternalIP")].address}'
        [ "$ANSWER" = "$ip" ] || failed "$name: INTERNAL-IP is '$ANSWER', declared $ip; look at node-ip in /var/lib/kubelet/kubeadm-flags.env on it"
        field_of "$name" "which state" '{.status.conditions[?(@.type=="Ready")].status}'
        [ "$ANSWER" = True ] || failed "$name: not Ready; try 'kubectl describe node $name' and 'journalctl -u kubelet' on it"
    done
    # The certificate of each API server must name the address that it is reached by: kubectl verifies it.
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        [[ " $TK_CONTROL_PLANES " == *" $name "* ]] || continue
        ready_at "https://$ip:$TK_API_PORT" || failed "$name: its API server does not answer at https://$ip:$TK_API_PORT under a certificate for that address"
        ask 60 "which endpoints the service default/kubernetes has, to the API" kubectl_admin get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o 'jsonpath={.items[*].endpoints[*].addresses[*]}'
        grep -qwF "$ip" <<<"$ANSWER" || failed "$name: its API server does not advertise $ip (endpoints of service default/kubernetes)"
    done
    ready_at "https://$TK_ENDPOINT:$TK_ENDPOINT_PORT" || failed "the endpoint https://$TK_ENDPOINT:$TK_ENDPOINT_PORT does not answer"
    etcd_members "$TK_NODE"
    members=$ANSWER
    # Sorted lists of names: one that has not started is `-`.
    [ "$(awk '{print $2}' <<<"$members" | sort)" = "$(tr ' ' '\n' <<<"$TK_CONTROL_PLANES" | sort)" ] ||
        failed "etcd's members are not the control planes ($TK_CONTROL_PLANES): $(awk '{printf "%s%s (%s, %s%s)", separator, $2, $1, $4, $3 == "true" ? ", learner" : ""; separator = ", "}' <<<"$members")"
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        [[ " $TK_CONTROL_PLANES " == *" $name "* ]] || continue
        awk -v name="$name" -v url="https://$ip:2380" '$2 == name && $4 == url {found = 1} END {exit !found}' <<<"$members" || failed "$name: etcd's peer URL is not https://$ip:2380"
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
        field_of "$name" "which architecture" '{.status.nodeInfo.architecture}'
        for path in /usr /bin /sbin /lib $([ "$ANSWER" != amd64 ] || echo /lib64); do
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
  # containerd 1.x lets no group send pings, and Debian 13's ping has no capability of its own.
  securityContext: {sysctls: [{name: net.ipv4.ping_group_range, value: "0 2147483647"}]}
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

apply_probes() { printf '%s\n' "$MANIFEST" | kubectl_admin apply -f -; }

# Lines "probe phase ready reason" of one word each; the reason is the kubelet's for a container that waits.
probe_states() { kubectl_checks get pods --no-headers -o 'custom-columns=N:.metadata.name,P:.status.phase,R:.status.containerStatuses[0].ready,W:.status.containerStatuses[0].state.waiting.reason,S:.status.conditions[*].status'; }

# wait_for_probes: until all of them run; false if they do not. As long as the state of any of them changes, they are waited for,
# and TK_READY_SECONDS from the last change; an error that the kubelet itself reports is given three minutes to pass.
wait_for_probes() {
    local begin=$SECONDS now before='' moved=$SECONDS
    while :; do
        ask 60 "which state the probes have, to the API" probe_states
        now=$ANSWER
        if [ "$(awk '$2 == "Running" && $3 == "true"' <<<"$now" | wc -l)" = "$(wc -w <<<"$TK_NODES")" ]; then
            STARTED=$((SECONDS - begin))
            return
        fi
        if [ "$now" != "$before" ]; then before=$now moved=$SECONDS; fi
        [ $((SECONDS - moved)) -lt "$TK_READY_SECONDS" ] && [ $((SECONDS - begin)) -lt $((2 * TK_READY_SECONDS)) ] || return 1
        [ $((SECONDS - begin)) -lt 180 ] || ! grep -qE ' (ErrImage|ImagePull|CreateContainer|RunContainer|InvalidImage|CrashLoop)[A-Za-z]*' <<<"$now" || return 1
        sleep 1
    done
}

# run_probe NAME: in $TK_RUN/probe.NAME, the probe's findings. The kubelet's connection may break: one that has not come to its end
# is run again, once.
run_probe() {
    local try
    for try in 1 2; do
        timeout "$TK_READY_SECONDS" kubectl --kubeconfig /etc/kubernetes/admin.conf -n "$namespace" exec -i "$1" -- /bin/bash -s -- "$1" "$namespace" "$TK_POD_MTU" "$COREDNS" "$PEERS" "$STARTED" <<<"$TK_PROBE" >"$TK_RUN/probe.$1" 2>"$TK_RUN/probe.$1.err" || true
        if grep -q '^done ' "$TK_RUN/probe.$1" || [ "$try" = 2 ]; then return 0; fi
        sleep 5
    done
}

# advice KIND FROM TO DETAIL: what to try.
advice() {
    case $1 in
    pod) if [ "$TK_NODE_NETWORK-$TK_POD_ROUTING" = lan-native ]; then
        echo "are both on one network segment, and does its switch or hypervisor let addresses of pods through? 'ip route' on $2 shows the route to $3's pod CIDR; tailkube:network.podRouting vxlan does without"
    elif [ "$TK_POD_ROUTING" = native ]; then
        echo "is $3's pod CIDR approved as a route in the tailnet, and does the policy let the pod CIDR through? 'tailscale status' and 'ip route show table 52' on $2 show what it accepts"
    elif [[ $4 == *"itself answers"* ]]; then
        echo "UDP $TK_TUNNEL_PORT is lost between $2 and $3: open it both ways in firewalls and security groups, or choose another port with tailkube:network.tunnelPort.$([ "$TK_NODE_NETWORK" != lan ] || echo " If it is open, try checksumOffload: false on both.") 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end"
    else
        echo "is UDP $TK_TUNNEL_PORT open between $2 and $3? 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end, tailkube:network.tunnelPort changes the port"
    fi ;;
    ping) echo "does 'ping 127.0.0.1' work on $2? It is in the package iputils-ping" ;;
    service) echo "'cilium-dbg service list' in the agent on $2 shows the service's backends" ;;
    dns) echo "'kubectl -n kube-system logs -l k8s-app=kube-dns'; a CoreDNS pod on another node is reached by the path between the nodes" ;;
    mtu) if [ "$TK_NODE_NETWORK" = lan ]; then
        echo "do the interfaces of both nodes and all switches between them pass $TK_UNDERLAY_MTU bytes? Set what they do pass as the MTU of the nodes' interfaces"
    else
        echo "is tailscale0's MTU on both nodes what tailkube:tailnet.mtu says ('ip link show tailscale0')?"
    fi ;;
    esac
}

# dns_pods: "node=address" for each pod of CoreDNS. One that is being deleted is listed too, until its node has ended it: it
# owes no answer any more.
dns_pods() {
    local entries entry
    entries=$(kubectl_admin -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={range .items[*]}{.spec.nodeName}={.status.podIP}={.metadata.deletionTimestamp} {end}') || return
    for entry in $entries; do [[ $entry != *?=?*= ]] || printf '%s ' "${entry%=}"; done
}

# findings_of NAME: the probe's findings, without those about a pod of CoreDNS that has gone since the probes began.
findings_of() {
    local line kind from to detail server
    while read -r line kind from to detail; do
        [ "$line" = failed ] || continue
        server=${detail#CoreDNS at } server=${server%% *}
        [[ $detail != "CoreDNS at "* || " $COREDNS_AFTER" == *" $to=$server "* ]] || continue
        failed "$kind from $from to $to: $detail; $(advice "$kind" "$from" "$to" "$detail")"
    done <"$TK_RUN/probe.$1"
}

check_paths() {
    local node name pod count
    retry 180 "cannot remove the probes of an earlier run, in namespace $namespace" forget_probes true
    MANIFEST=$(probe_manifest) || exit
    retry 60 "cannot start the probes in namespace $namespace" apply_probes
    if ! wait_for_probes; then
        failed "probes that do not run: $(kubectl_checks get pods --no-headers 2>/dev/null | awk '$2 != "1/1" || $3 != "Running" {print $1 " is " $3}' | paste -sd';' -); try 'kubectl -n $namespace describe pods'"
        return
    fi
    PEERS=
    for node in $TK_NODES; do
        name=${node%%=*}
        ask 60 "which address the probe on $name has, to the API" kubectl_checks get pod "$name" -o 'jsonpath={.status.podIP}'
        pod=$ANSWER
        ask 60 "which address the probe's service $name has, to the API" kubectl_checks get service "$name" -o 'jsonpath={.spec.clusterIP}'
        PEERS+="$name=$pod=$ANSWER=${node#*=} "
    done
    ask 60 "which pods CoreDNS has, to the API" dns_pods
    COREDNS=$ANSWER
    for node in $TK_NODES; do run_probe "${node%%=*}" & done
    wait
    ask 60 "which pods CoreDNS has after the probes, to the API" dns_pods
    COREDNS_AFTER=$ANSWER
    for node in $TK_NODES; do
        name=${node%%=*}
        grep -q '^done ' "$TK_RUN/probe.$name" || failed "$name: the probe could not be run there through the kubelet: $(log_tail "$TK_RUN/probe.$name.err" 2)"
        findings_of "$name"
        count=$(awk '$1 == "done" {print $2}' "$TK_RUN/probe.$name")
        # A probe that did not run has counted nothing.
        PATHS=$((PATHS + ${count:-0}))
    done
    rm -f "$TK_RUN"/probe.*
}

apply() {
    PATHS=0
    trap 'forget_probes >/dev/null 2>&1 || true' EXIT
    check_addresses
    check_paths
    if [ ${#FAILURES[@]} -gt 0 ]; then
        fail "${#FAILURES[@]} of the checks failed:$(printf '\n  - %s' "${FAILURES[@]:0:20}")"
    fi
    result paths "$PATHS" nodes "$(wc -w <<<"$TK_NODES")"
}
