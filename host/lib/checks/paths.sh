# shellcheck shell=bash
# requires: lib/checks/addresses lib/checks/pairs
# Does every path between the nodes work? The probes need no image but the pause image that every node has: they run the host's own
# bash, socat, getent and ping, mounted read-only, inside a pod's network.
#
# Bounds follow the hosts: how long the slowest one took to start its probe says how slow they are at the moment (with an SD
# card under load, minutes instead of seconds), and what comes after is given time in proportion.
# Given: TK_NODES, TK_PAUSE_IMAGE, TK_POD_MTU (bytes), TK_READY_SECONDS, TK_PROBE (text of host/installed/probe.sh).

# How many probes are run at the same time: each takes a kubectl of up to 46 MB on this host. As many as a cluster has in which all
# pairs are probed.
PROBES_AT_ONCE=12

# In a namespace of this host's own: checks may run on two control planes at the same time, and on one they have the host's lock.
checks_namespace() {
    local name=tailkube-checks-$TK_NODE
    # A name has 63 letters at most.
    [ ${#name} -le 63 ] || name=tailkube-checks-$(printf '%s' "$TK_NODE" | sha256sum | cut -c1-16)
    printf '%s' "$name"
}

kubectl_checks() { kubectl_admin -n "$NAMESPACE" "$@"; }
forget_probes() { kubectl_admin delete namespace "$NAMESPACE" --ignore-not-found --wait="${1:-false}" --timeout=90s; }

# plan_paths: in TARGETS, what each node probes; in PAIRS, how many pairs that is.
plan_paths() {
    local from to names=()
    for from in $TK_NODES; do names+=("${from%%=*}"); done
    declare -gA TARGETS=()
    PAIRS=0
    while read -r from to; do
        TARGETS[$from]+="$to "
        PAIRS=$((PAIRS + 1))
    done < <(pairs "$SEED" "$ALL_PAIRS" "${names[@]}")
}

# probe_manifest NAME...
probe_manifest() {
    local name mounts volumes path
    cat <<END
apiVersion: v1
kind: Namespace
metadata: {name: $NAMESPACE, labels: {pod-security.kubernetes.io/enforce: privileged}}
END
    for name in "$@"; do
        mounts='' volumes=''
        for path in /usr /bin /sbin /lib $([ "${NODE_ARCHITECTURE[$name]}" != amd64 ] || echo /lib64); do
            mounts+="{name: ${path#/}, mountPath: $path, readOnly: true}, "
            volumes+="{name: ${path#/}, hostPath: {path: $path}}, "
        done
        # One that a killed run has left ends by itself.
        cat <<END
---
apiVersion: v1
kind: Pod
metadata: {name: $name, namespace: $NAMESPACE, labels: {probe: $name}}
spec:
  nodeName: $name
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  activeDeadlineSeconds: $((3600 + 4 * TK_READY_SECONDS))
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
metadata: {name: $name, namespace: $NAMESPACE}
spec: {selector: {probe: $name}, ports: [{port: 80, targetPort: 8080}]}
END
    done
}

apply_probes() { printf '%s\n' "$MANIFEST" | kubectl_admin apply -f -; }

# Lines "probe phase ready reason" of one word each; the reason is the kubelet's for a container that waits.
probe_states() { kubectl_checks get pods --no-headers -o 'custom-columns=N:.metadata.name,P:.status.phase,R:.status.containerStatuses[0].ready,W:.status.containerStatuses[0].state.waiting.reason,S:.status.conditions[*].status'; }

# wait_for_probes NAME...: until the probes on these nodes run; false if one does not. RUNNING has those that do. As long as the state
# of any of them changes, they are waited for, and TK_READY_SECONDS from the last change; an error that the kubelet itself reports is
# given three minutes to pass. A node that is not Ready any more is not waited for: a dead one costs the minute in which the API
# notices.
wait_for_probes() {
    local begin=$SECONDS now before='' moved=$SECONDS name missing up count most=0
    STARTED=0
    while :; do
        ask 60 "which state the probes have, to the API" probe_states
        now=$ANSWER
        learn_nodes
        up=$(awk '$2 == "Running" && $3 == "true" {printf " %s ", $1}' <<<"$now")
        RUNNING='' missing='' count=0
        for name in "$@"; do
            if ! node_is_ready "$name"; then continue; fi
            if [[ $up == *" $name "* ]]; then
                RUNNING+="$name "
                count=$((count + 1))
            else
                missing+="$name "
            fi
        done
        # How slow the hosts are is said by those that have one, and not by one that is dead.
        if [ "$count" -gt "$most" ]; then most=$count STARTED=$((SECONDS - begin)); fi
        [ -n "$missing" ] || return 0
        if [ "$now" != "$before" ]; then before=$now moved=$SECONDS; fi
        [ $((SECONDS - moved)) -lt "$TK_READY_SECONDS" ] && [ $((SECONDS - begin)) -lt $((2 * TK_READY_SECONDS)) ] || return 1
        [ $((SECONDS - begin)) -lt 180 ] || ! grep -qE ' (ErrImage|ImagePull|CreateContainer|RunContainer|InvalidImage|CrashLoop)[A-Za-z]*' <<<"$now" || return 1
        sleep 1
    done
}

# start_probes: on all nodes that are Ready; the others have been found already. In RUNNING, those that have one.
start_probes() {
    local node ready=()
    for node in $TK_NODES; do if node_is_ready "${node%%=*}"; then ready+=("${node%%=*}"); fi; done
    RUNNING=
    [ ${#ready[@]} -gt 0 ] || return 0
    retry 180 "cannot remove the probes of an earlier run, in namespace $NAMESPACE" forget_probes true
    MANIFEST=$(probe_manifest "${ready[@]}") || exit
    retry 60 "cannot start the probes in namespace $NAMESPACE" apply_probes
    wait_for_probes "${ready[@]}" ||
        failed "probes that do not run: $(kubectl_checks get pods --no-headers 2>/dev/null | awk '$2 != "1/1" || $3 != "Running" && ++n <= 10 {print $1 " is " $3}' | paste -sd';' -); try 'kubectl -n $NAMESPACE describe pods'"
    for node in "${ready[@]}"; do
        node_is_ready "$node" || failed "$node: not Ready since the checks began; try 'kubectl describe node $node' and 'journalctl -u kubelet' on it"
    done
}

pod_addresses() { kubectl_checks get pods -o 'jsonpath={range .items[*]}{.metadata.name}={.status.podIP} {end}'; }
service_addresses() { kubectl_checks get services -o 'jsonpath={range .items[*]}{.metadata.name}={.spec.clusterIP} {end}'; }

# learn_peers: in PEER, "name=pod ip=service ip=node ip" of each node whose probe runs.
learn_peers() {
    local entry name
    local -A pods=() services=()
    declare -gA PEER=()
    ask 60 "which addresses the probes have, to the API" pod_addresses
    for entry in $ANSWER; do pods[${entry%%=*}]=${entry#*=}; done
    ask 60 "which addresses the probes' services have, to the API" service_addresses
    for entry in $ANSWER; do services[${entry%%=*}]=${entry#*=}; done
    for entry in $TK_NODES; do
        name=${entry%%=*}
        [[ " $RUNNING " != *" $name "* ]] || PEER[$name]="$name=${pods[$name]:-}=${services[$name]:-}=${entry#*=}"
    done
}

# dns_pods: "node=address" for each pod of CoreDNS. One that is being deleted is listed too, until its node has ended it: it
# owes no answer any more.
dns_pods() {
    local entries entry
    entries=$(kubectl_admin -n kube-system get pods -l k8s-app=kube-dns -o 'jsonpath={range .items[*]}{.spec.nodeName}={.status.podIP}={.metadata.deletionTimestamp} {end}') || return
    for entry in $entries; do [[ $entry != *?=?*= ]] || printf '%s ' "${entry%=}"; done
}

# run_probe NAME TARGETS SERVERS: in $TK_RUN/probe.NAME, the probe's findings. The kubelet's connection may break: one that has not
# come to its end is run again, once.
run_probe() {
    local try
    for try in 1 2; do
        direct timeout "$TK_READY_SECONDS" kubectl --kubeconfig /etc/kubernetes/admin.conf -n "$NAMESPACE" exec -i "$1" -- /bin/bash -s -- "$1" "$NAMESPACE" "$TK_POD_MTU" "$3" "$2" "$STARTED" <<<"$TK_PROBE" >"$TK_RUN/probe.$1" 2>"$TK_RUN/probe.$1.err" || true
        if has_ended "$1" || [ "$try" = 2 ]; then return 0; fi
        sleep 5
    done
}
has_ended() { grep -qx 'done' "$TK_RUN/probe.$1"; }

# run_probes: each probes itself and its targets, as far as they have a probe.
run_probes() {
    local name target targets servers index=0
    for name in $RUNNING; do
        targets="${PEER[$name]} "
        for target in ${TARGETS[$name]:-}; do targets+="${PEER[$target]:-} "; done
        # shellcheck disable=SC2086  # words
        servers=$(slice "$index" $COREDNS)
        while [ "$(jobs -rp | wc -l)" -ge "$PROBES_AT_ONCE" ]; do wait -n || true; done
        run_probe "$name" "$targets" "$servers" &
        index=$((index + 1))
    done
    wait
}

# findings_of NAME: lines `passed KIND FROM TO` and `failed KIND FROM TO DETAIL` of that probe, which may speak for its own node only;
# without those about a pod of CoreDNS that has gone since the probes began.
findings_of() {
    local line kind from to detail server
    while read -r line kind from to detail; do
        [[ $line =~ ^(passed|failed)$ && $from = "$1" && -n $to ]] || continue
        server=${detail#CoreDNS at } server=${server%% *}
        [[ $line-$kind != failed-coredns || " $COREDNS_AFTER" == *" $to=$server "* ]] || continue
        printf '%s %s %s %s %s\n' "$line" "$kind" "$from" "$to" "$detail"
    done < <(tr -cd '[:print:]\n' <"$TK_RUN/probe.$1")
}

# count_pairs NAME: in PROBED, how many pairs have been probed, with those of this node, whose probe has come to its end.
count_pairs() {
    local target
    for target in ${TARGETS[$1]:-}; do [ -z "${PEER[$target]:-}" ] || PROBED=$((PROBED + 1)); done
}

# check_paths: what the probes found is in $FINDINGS. ENDED has the nodes whose probe has said all.
check_paths() {
    local name
    ENDED='' PROBED=0
    plan_paths
    : >"$FINDINGS"
    start_probes
    [ -n "$RUNNING" ] || return 0
    learn_peers
    ask 60 "which pods CoreDNS has, to the API" dns_pods
    COREDNS=$ANSWER
    run_probes
    ask 60 "which pods CoreDNS has after the probes, to the API" dns_pods
    COREDNS_AFTER=$ANSWER
    for name in $RUNNING; do
        if has_ended "$name"; then
            ENDED+="$name "
            count_pairs "$name"
        else
            failed "$name: the probe could not be run there through the kubelet: $(log_tail "$TK_RUN/probe.$name.err" 2)"
        fi
        findings_of "$name" >>"$FINDINGS"
    done
    rm -f "$TK_RUN"/probe.*
}
