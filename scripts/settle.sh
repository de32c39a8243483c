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

# What we set is remembered on the node, so that what is no longer declared can be taken back, and nothing else is.
settle_node() {
    local node=$1 kind=$2 wanted=$3 annotation="tailkube.dev/$2" before item key keep=' '
    before=$(kubectl_admin get node "$node" -o "jsonpath={.metadata.annotations.tailkube\.dev/$kind}")
    [ "$before" != "$wanted" ] || return 0
    for item in $wanted; do keep+="$(identity "$kind" "$item") "; done
    for item in $before; do
        key=$(identity "$kind" "$item")
        # An item whose value alone changed is overwritten below, not missing for a moment.
        [[ $keep == *" $key "* ]] || kubectl_admin "${kind%s}" node "$node" "$key-" >/dev/null 2>&1 || true
    done
    for item in $wanted; do
        kubectl_admin "${kind%s}" --overwrite node "$node" "$item" >/dev/null
    done
    kubectl_admin annotate --overwrite node "$node" "$annotation=$wanted" >/dev/null
    changed "$kind of $node"
}

words_of() { awk -v node="$1" '$1 == node {printf "%s%s", separator, $2; separator = " "}' <<<"$2"; }

rolled_out() { kubectl_admin -n kube-system rollout status "$1" --timeout=5s; }
nodes_ready() { [ "$(kubectl_admin get nodes --no-headers 2>/dev/null | awk '$2 ~ /^Ready/' | wc -l)" -ge "$(wc -w <<<"$TK_NODES")" ]; }

# why SELECTOR: what the operator would look at first when a workload does not become ready.
why() {
    kubectl_admin -n kube-system get pods -l "$1" --no-headers 2>/dev/null | awk '$3 != "Running" || $2 !~ /^([0-9]+)\/\1$/ {printf "%s is %s (%s ready, %s restarts); ", $1, $3, $2, $4}' | head -c 600
}

# Every pod of Cilium is of the release's present values, and ready. They are replaced one node at a time. Envoy and the
# operator are there as the chart's values say.
wait_for_cilium() {
    local workload
    ask 60 "which workloads does kube-system have" kubectl_admin -n kube-system get daemonsets,deployments -o name
    for workload in daemonset.apps/cilium $(grep -xE 'daemonset\.apps/cilium-envoy|deployment\.apps/cilium-operator' <<<"$ANSWER"); do
        poll "$TK_READY_SECONDS" rolled_out "$workload" ||
            fail "Cilium is not ready after $TK_READY_SECONDS s: $(why 'k8s-app in (cilium, cilium-envoy), io.cilium/app!=operator')$(why io.cilium/app=operator)see 'kubectl -n kube-system logs ${workload/.apps/}'"
    done
}

unmanaged_pods() {
    local managed
    # Without an answer every pod would look older than Cilium.
    managed=$(kubectl_admin get ciliumendpoints.cilium.io -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name 2>/dev/null) || return
    kubectl_admin get pods -A --field-selector status.phase=Running --no-headers \
        -o custom-columns=N:.metadata.namespace,P:.metadata.name,H:.spec.hostNetwork |
        awk -v managed="$managed" 'BEGIN {n = split(managed, lines, "\n"); for (i = 1; i <= n; i++) {split(lines[i], f, " "); seen[f[1] " " f[2]] = 1}} $3 != "true" && !(($1 " " $2) in seen) {print $1, $2}'
}

no_unmanaged_pods() { local pods; pods=$(unmanaged_pods) && [ -z "$pods" ]; }

# A pod that got its network before Cilium cannot reach other nodes until it is made anew.
restart_unmanaged_pods() {
    local namespace name
    # Cilium writes a new pod's endpoint some seconds late.
    poll 20 no_unmanaged_pods || while read -r namespace name; do
        kubectl_admin -n "$namespace" delete pod "$name" --wait=false >/dev/null
        changed "restarted pod $namespace/$name, which was older than Cilium"
    done < <(unmanaged_pods)
}

# Both pods of CoreDNS may be on one node, and its drain would leave the cluster without names until others are up. On the
# only node there is they would hold up a drain for good.
spread_dns_drains() {
    local budget=tailkube-coredns
    if [ "$(wc -w <<<"$TK_NODES")" = 1 ]; then
        kubectl_admin -n kube-system delete poddisruptionbudget "$budget" --ignore-not-found >/dev/null
    elif ! kubectl_admin -n kube-system get poddisruptionbudget "$budget" >/dev/null 2>&1; then
        kubectl_admin apply -f - >/dev/null <<EOF
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: $budget, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
EOF
        changed "drains evict one pod of CoreDNS at a time"
    fi
}

# stored_secrets PATTERN: how many Secrets' bytes in etcd begin so. All that etcd holds passes through, and nothing is kept.
stored_secrets() { "$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --print-value-only 2>/dev/null | grep -ac "^$1" || true; }

secrets_as_wanted() {
    local all
    if [ -z "$TK_ENCRYPTS" ]; then
        # None may be left behind a key.
        all=$(stored_secrets 'k8s:enc:') && [ "$all" = 0 ]
    else
        all=$("$TK_LIB/etcd" ctl get /registry/secrets/ --prefix --keys-only 2>/dev/null | grep -c .) || return 1
        [ "$(stored_secrets "k8s:enc:secretbox:v1:$TK_ENCRYPTION_KEY:")" = "$all" ]
    fi
}

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
    [ "$(cluster_note secrets-stored)" != "$wanted" ] || return 0
    if ! secrets_as_wanted; then
        # An API server reads a changed EncryptionConfiguration within a minute or so.
        wait_for 240 "not all Secrets in etcd are stored as wanted ($wanted): see 'kubectl get --raw /metrics | grep apiserver_encryption_config'" rewrite_secrets
        changed "wrote all Secrets anew: $wanted"
    fi
    write_cluster_note secrets-stored "$wanted"
}

apply() {
    local node
    for node in $(departed); do take_out "$node"; done
    for node in $TK_NODES; do
        settle_node "$node" labels "$(words_of "$node" "$TK_LABELS")"
        settle_node "$node" taints "$(words_of "$node" "$TK_TAINTS")"
    done
    wait_for_cilium
    wait_for "$TK_READY_SECONDS" "not every node is Ready: see 'kubectl get nodes'" nodes_ready
    restart_unmanaged_pods
    wait_for "$TK_READY_SECONDS" "CoreDNS is not ready: see 'kubectl -n kube-system describe pods -l k8s-app=kube-dns'" rolled_out deployment/coredns
    spread_dns_drains
    settle_secrets
    result
}
