# shellcheck shell=bash
# requires: lib/cluster/readiness
# CoreDNS on more than one node, and never all of it drained at once.
# Given: TK_NODES (names), TK_READY_SECONDS.

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
# also counts the pods being replaced; so the constraint knows the new ones by their hash. The constraint, too, is a preference: with
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
