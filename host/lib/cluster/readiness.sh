# shellcheck shell=bash
# requires: lib/api lib/waiting
# Whether nodes and workloads are ready, and why they are not.
# Given: TK_NODES (names), TK_READY_SECONDS.

rolled_out() { kubectl_admin -n kube-system rollout status "$1" --timeout=5s; }
# Each declared node by its name: another one that is Ready does not stand in for it. NOT_READY names those that are not.
nodes_ready() {
    local node ready
    ready=" $(kubectl_admin get nodes -o 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}') " ||
        {
            NOT_READY=" unknown"
            unanswered "which nodes are Ready, to the API" || return
        }
    NOT_READY=
    for node in $TK_NODES; do [[ $ready == *" $node=True "* ]] || NOT_READY+=" $node"; done
    [ -z "$NOT_READY" ]
}

# why_not_ready SELECTOR: what the operator would look at first when a workload does not become ready.
why_not_ready() {
    kubectl_admin -n kube-system get pods -l "$1" --no-headers 2>/dev/null | awk '$3 != "Running" || $2 !~ /^([0-9]+)\/\1$/ {printf "%s is %s (%s ready, %s restarts); ", $1, $3, $2, $4}' | head -c 600
}

# Every pod of Cilium is of the release's present values, and ready. They are replaced one node at a time. Envoy and the
# operator are there as the chart's values say.
wait_for_cilium() {
    local workload
    ask 60 "which DaemonSets and Deployments kube-system has, to the API" kubectl_admin -n kube-system get daemonsets,deployments -o name
    for workload in daemonset.apps/cilium $(grep -xE 'daemonset\.apps/cilium-envoy|deployment\.apps/cilium-operator' <<<"$ANSWER"); do
        poll "$TK_READY_SECONDS" rolled_out "$workload" ||
            fail "Cilium is not ready after $TK_READY_SECONDS s: $(why_not_ready 'k8s-app in (cilium, cilium-envoy), io.cilium/app!=operator')$(why_not_ready io.cilium/app=operator)see 'kubectl -n kube-system logs ${workload/.apps/}'"
    done
}
