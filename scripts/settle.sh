# shellcheck shell=bash
# Stage settle, on the first control plane, after Cilium's release and all joins: nodes that are declared no more drained
# and taken out, labels and taints as declared, Cilium and CoreDNS ready, pods that are older than the network restarted once.
# Given (beside node.sh's): TK_LABELS ("node key=value" lines), TK_TAINTS ("node key=value:Effect" lines), TK_NODES
# (names), TK_READY_SECONDS, TK_DRAIN_SECONDS, TK_ENCRYPTION_KEY (its name), TK_ENCRYPTS (1: Secrets are kept encrypted). TK_MARKS and TK_RELEASE are there to run it again when they change.

# identity KIND ITEM: what two items of one node differ in. A taint is its key and its effect, whatever its value.
identity() {
    case $1 in
    labels) printf '%s' "${2%%=*}" ;;
    taints) printf '%s:%s' "${2%%[=:]*}" "${2##*:}" ;;
    esac
}

# has_item NODE KIND KEY: whether the node has it now. A taint's KEY is KEY:EFFECT.
has_item() {
    if [ "$2" = labels ]; then
        ask 60 "which labels node $1 has, to the API" kubectl_admin get node "$1" -o 'jsonpath={.metadata.labels}'
        [[ $ANSWER == *"\"$3\":"* ]]
    else
        ask 60 "which taints node $1 has, to the API" kubectl_admin get node "$1" -o 'jsonpath={range .spec.taints[*]}{.key}:{.effect} {end}'
        [[ " $ANSWER " == *" $3 "* ]]
    fi
}

# take_back NODE KIND KEY: the item is gone after it, also if someone else took it away.
take_back() {
    local end=$((SECONDS + 60))
    while has_item "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "cannot take the ${2%s} $3 from node $1, which declares it no longer"
        kubectl_admin "${2%s}" node "$1" "$3-" >/dev/null 2>&1 || sleep 1
    done
}

# What we set is remembered on the node, so that what is no longer declared can be taken back, and nothing else is.
settle_node() {
    local node=$1 kind=$2 wanted=$3 annotation="tailkube.dev/$2" before item key keep=' '
    ask 60 "which $kind were set on node $node, to the API" kubectl_admin get node "$node" -o "jsonpath={.metadata.annotations.tailkube\.dev/$kind}"
    before=$ANSWER
    [ "$before" != "$wanted" ] || return 0
    for item in $wanted; do keep+="$(identity "$kind" "$item") "; done
    for item in $before; do
        key=$(identity "$kind" "$item")
        # The node could write other text there, such as an option of kubectl.
        [[ $key =~ ^[A-Za-z0-9][A-Za-z0-9./:_-]*$ ]] || continue
        # An item whose value alone changed is overwritten below, not missing for a moment.
        [[ $keep == *" $key "* ]] || take_back "$node" "$kind" "$key"
    done
    for item in $wanted; do
        retry 60 "cannot set the ${kind%s} $item on node $node" kubectl_admin "${kind%s}" --overwrite node "$node" "$item"
    done
    retry 60 "cannot note the $kind of node $node on it" kubectl_admin annotate --overwrite node "$node" "$annotation=$wanted"
    changed "$kind of $node"
}

words_of() { awk -v node="$1" '$1 == node {printf "%s%s", separator, $2; separator = " "}' <<<"$2"; }

rolled_out() { kubectl_admin -n kube-system rollout status "$1" --timeout=5s; }
# Each declared node by its name: another one that is Ready does not stand in for it. NOT_READY names those that are not.
nodes_ready() {
    local node
    NOT_READY=
    for node in $TK_NODES; do
        [ "$(kubectl_admin get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ] || NOT_READY+=" $node"
    done
    [ -z "$NOT_READY" ]
}

# why SELECTOR: what the operator would look at first when a workload does not become ready.
why() {
    kubectl_admin -n kube-system get pods -l "$1" --no-headers 2>/dev/null | awk '$3 != "Running" || $2 !~ /^([0-9]+)\/\1$/ {printf "%s is %s (%s ready, %s restarts); ", $1, $3, $2, $4}' | head -c 600
}

# Every pod of Cilium is of the release's present values, and ready. They are replaced one node at a time. Envoy and the
# operator are there as the chart's values say.
wait_for_cilium() {
    local workload
    ask 60 "which workloads kube-system has, to the API" kubectl_admin -n kube-system get daemonsets,deployments -o name
    for workload in daemonset.apps/cilium $(grep -xE 'daemonset\.apps/cilium-envoy|deployment\.apps/cilium-operator' <<<"$ANSWER"); do
        poll "$TK_READY_SECONDS" rolled_out "$workload" ||
            fail "Cilium is not ready after $TK_READY_SECONDS s: $(why 'k8s-app in (cilium, cilium-envoy), io.cilium/app!=operator')$(why io.cilium/app=operator)see 'kubectl -n kube-system logs ${workload/.apps/}'"
    done
}

# unmanaged_pods: "namespace name controlled|alone" of the running pods that have no endpoint of Cilium's; alone are those
# without a controller, which would not be recreated. A pod that is being deleted loses its endpoint before it is gone, so it is
# left out. Without an answer to either question it prints nothing and fails: every pod would seem to lack an endpoint.
unmanaged_pods() {
    local managed pods
    managed=$(kubectl_admin get ciliumendpoints.cilium.io -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name) || return
    pods=$(kubectl_admin get pods -A --field-selector status.phase=Running --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name,H:.spec.hostNetwork,D:.metadata.deletionTimestamp,C:.metadata.ownerReferences[*].controller) || return
    awk -v managed="$managed" 'BEGIN {n = split(managed, lines, "\n"); for (i = 1; i <= n; i++) {split(lines[i], f, " "); seen[f[1] " " f[2]] = 1}} NF && $3 != "true" && $4 == "<none>" && !(($1 " " $2) in seen) {print $1, $2, $5 ~ /true/ ? "controlled" : "alone"}' <<<"$pods"
}

no_unmanaged_pods() {
    local pods
    pods=$(unmanaged_pods) && [ -z "$pods" ]
}

# A pod that got its network before Cilium cannot reach other nodes until it is replaced.
restart_unmanaged_pods() {
    local namespace name kind
    # With this value Cilium keeps no endpoints in the API, so they say nothing about pods.
    ask 60 "whether Cilium keeps its endpoints in the API" kubectl_admin -n kube-system get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.disable-endpoint-crd}'
    [ "$ANSWER" != true ] || return 0
    # Cilium writes a new pod's endpoint some seconds late, on a slow host half a minute. Pods that really lack one wait it out.
    if poll 60 no_unmanaged_pods; then return 0; fi
    ask 60 "which pods are older than Cilium, to the API" unmanaged_pods
    while read -r namespace name kind; do
        [ -n "$name" ] || continue
        if [ "$kind" = alone ]; then
            changed "left pod $namespace/$name, which is older than Cilium and has no way to other nodes: it has no controller that would recreate it"
            continue
        fi
        retry 60 "cannot restart the pod $namespace/$name, which is older than Cilium" kubectl_admin -n "$namespace" delete pod "$name" --wait=false --ignore-not-found
        changed "restarted pod $namespace/$name, which was older than Cilium"
    done <<<"$ANSWER"
}

dns_budget() {
    cat <<EOF
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: tailkube-coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
EOF
}
make_dns_budget() { dns_budget | kubectl_admin apply -f -; }

# Both pods of CoreDNS may be on one node, and its drain would leave the cluster without names until others are up. On the
# only node there is they would hold up a drain for good.
spread_dns_drains() {
    local budget=tailkube-coredns
    ask 60 "whether there is a PodDisruptionBudget $budget, to the API" kubectl_admin -n kube-system get poddisruptionbudget "$budget" --ignore-not-found -o name
    if [ "$(wc -w <<<"$TK_NODES")" = 1 ]; then
        [ -z "$ANSWER" ] || retry 60 "cannot delete the PodDisruptionBudget $budget" kubectl_admin -n kube-system delete poddisruptionbudget "$budget" --ignore-not-found
    elif [ -z "$ANSWER" ]; then
        retry 60 "cannot make the PodDisruptionBudget $budget" make_dns_budget
        changed "drains evict one pod of CoreDNS at a time"
    fi
}

# takes_dns NODE: whether CoreDNS, as kubeadm deploys it, may be scheduled on that node. It tolerates the control plane's taint.
takes_dns() {
    local taint
    ask 60 "whether node $1 takes pods, to the API" kubectl_admin get node "$1" -o 'jsonpath={.spec.unschedulable}|{range .spec.taints[*]}{.key}:{.effect} {end}'
    [[ $ANSWER != true* ]] || return 1
    for taint in ${ANSWER#*|}; do
        case $taint in
        node-role.kubernetes.io/control-plane:NoSchedule | CriticalAddonsOnly:* | *:PreferNoSchedule) ;;
        *) return 1 ;;
        esac
    done
}

# dns_nodes: the nodes of CoreDNS' pods, one word for each pod that is not being deleted.
dns_nodes() {
    local entries entry
    entries=$(kubectl_admin -n kube-system get pods -l k8s-app=kube-dns --field-selector status.phase=Running -o 'jsonpath={range .items[*]}{.spec.nodeName}={.metadata.deletionTimestamp} {end}') || return
    for entry in $entries; do [[ $entry != *= ]] || printf '%s ' "${entry%=}"; done
}

# kubeadm starts CoreDNS when there is one node, and nothing moves its pods later. Its own anti-affinity is a preference that
# also counts the pods being replaced; so the new ones are told apart by their hash. The constraint, too, is a preference: with
# one node left, both pods have to run there. kubeadm's object is patched, never replaced; kubeadm may drop the constraint in an
# upgrade, and then this looks again at where the pods are. One restart for each run at most.
spread_dns() {
    local nodes node other=
    ask 60 "on which nodes CoreDNS runs, to the API" dns_nodes
    read -r -a nodes <<<"$ANSWER"
    [ ${#nodes[@]} -gt 1 ] && [ "$(printf '%s\n' "${nodes[@]}" | sort -u | wc -l)" = 1 ] || return 0
    for node in $TK_NODES; do
        if [ "$node" != "${nodes[0]}" ] && takes_dns "$node"; then
            other=$node
            break
        fi
    done
    [ -n "$other" ] || return 0
    retry 60 "cannot restart CoreDNS, whose pods are all on ${nodes[0]}" kubectl_admin -n kube-system patch deployment coredns --type strategic -p \
        "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"kubectl.kubernetes.io/restartedAt\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}},\"spec\":{\"topologySpreadConstraints\":[{\"topologyKey\":\"kubernetes.io/hostname\",\"whenUnsatisfiable\":\"ScheduleAnyway\",\"maxSkew\":1,\"labelSelector\":{\"matchLabels\":{\"k8s-app\":\"kube-dns\"}},\"matchLabelKeys\":[\"pod-template-hash\"]}]}}}}"
    wait_for "$TK_READY_SECONDS" "CoreDNS is not ready after its pods were spread over nodes: see 'kubectl -n kube-system describe pods -l k8s-app=kube-dns'" rolled_out deployment/coredns
    changed "restarted CoreDNS, whose pods were all on ${nodes[0]}"
}

# stored_secrets PATTERN: how many Secrets' bytes in etcd begin so. All that etcd holds passes through, and nothing is kept.
# Fails if etcd does not answer; grep's "none" is an answer.
stored_secrets() { "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --print-value-only | { grep -ac "^$1" || [ $? = 1 ]; }; }
all_secrets() { "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --keys-only | { grep -c . || [ $? = 1 ]; }; }

# secrets_state: prints `wanted` or `other`; fails if etcd does not answer.
secrets_state() {
    local all stored
    if [ -z "$TK_ENCRYPTS" ]; then
        # None may be left behind a key.
        all=0
        stored=$(stored_secrets 'k8s:enc:') || return
    else
        all=$(all_secrets) || return
        stored=$(stored_secrets "k8s:enc:secretbox:v1:$TK_ENCRYPTION_KEY:") || return
    fi
    if [ "$stored" = "$all" ]; then echo wanted; else echo other; fi
}

secrets_as_wanted() { [ "$(secrets_state)" = wanted ]; }

# An API server writes a Secret that it is given unchanged only if it is not stored as it would store it now. One that
# somebody changes meanwhile is written by just that.
rewrite_secrets() {
    local namespace
    for namespace in $(kubectl_admin get namespaces -o 'jsonpath={.items[*].metadata.name}'); do
        kubectl_admin -n "$namespace" get secrets -o json | kubectl_admin replace -f - >/dev/null 2>&1 || true
    done
    secrets_as_wanted
}

settle_secrets() {
    local wanted=plain
    [ -z "$TK_ENCRYPTS" ] || wanted=$TK_ENCRYPTION_KEY
    cluster_note secrets-stored
    [ "$ANSWER" != "$wanted" ] || return 0
    ask 60 "how the Secrets are stored, to etcd on this host" secrets_state
    if [ "$ANSWER" != wanted ]; then
        # An API server reads a changed EncryptionConfiguration within a minute or so.
        wait_for 240 "not all Secrets in etcd are stored as wanted ($wanted): see 'kubectl get --raw /metrics | grep apiserver_encryption_config'" rewrite_secrets
        changed "wrote all Secrets anew: $wanted"
    fi
    retry 60 "the API does not take a note on the namespace kube-system" write_cluster_note secrets-stored "$wanted"
}

apply() {
    local node
    departed
    for node in $ANSWER; do take_out "$node"; done
    for node in $TK_NODES; do
        uncordon_node "$node"
        settle_node "$node" labels "$(words_of "$node" "$TK_LABELS")"
        settle_node "$node" taints "$(words_of "$node" "$TK_TAINTS")"
    done
    wait_for_cilium
    poll "$TK_READY_SECONDS" nodes_ready || fail "not every node is Ready after $TK_READY_SECONDS s:$NOT_READY; see 'kubectl get nodes'"
    restart_unmanaged_pods
    wait_for "$TK_READY_SECONDS" "CoreDNS is not ready: see 'kubectl -n kube-system describe pods -l k8s-app=kube-dns'" rolled_out deployment/coredns
    spread_dns
    spread_dns_drains
    settle_secrets
    result
}
