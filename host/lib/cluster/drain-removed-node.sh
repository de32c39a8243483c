# shellcheck shell=bash
# requires: lib/cluster/members
# Draining a node before it leaves the cluster.
# Given: TK_DRAIN_SECONDS.

# What kubectl drain says of pods that it may not evict, once each, and the budgets that are used up.
what_blocks() {
    local log=$1 budgets
    budgets=$(kubectl_cluster get poddisruptionbudgets -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name,A:.status.disruptionsAllowed 2>/dev/null | awk '$3 == 0 {printf "%s/%s ", $1, $2}') || true
    sed -n 's/^.*error when evicting pods\{0,1\}\/"\([^"]*\)" -n "\([^"]*\)".*/pod \2\/\1/p; s/^error: \(cannot delete .*\)/\1/p; s/^  *\(cannot delete .*\)/\1/p' "$log" | sort -u | head -n 5 | paste -sd';' - | sed 's/;/; /g'
    [ -z "$budgets" ] || printf '(PodDisruptionBudgets that allow none at the moment: %s)' "${budgets% }"
}

# Says on the Node that a removal has cordoned it: a node that the user has cordoned, or an upgrade, stays so.
cordon_node() {
    node_field "$1" "whether pods may be scheduled on it" '{.spec.unschedulable}'
    [ "$ANSWER" != true ] || return 0
    retry 60 "cannot cordon the node $1" kubectl_cluster patch node "$1" --type merge -p '{"metadata":{"annotations":{"tailkube.dev/cordoned":"removal"}},"spec":{"unschedulable":true}}'
}

cordoned_for_removal() {
    node_field "$1" "who has cordoned it: which note" '{.metadata.annotations.tailkube\.dev/cordoned}'
    [ "$ANSWER" = removal ]
}

# The names alone: a node may write anything into its own annotations.
nodes_cordoned_for_removal() { kubectl_cluster get nodes -o 'jsonpath={.items[?(@.metadata.annotations.tailkube\.dev/cordoned=="removal")].metadata.name}'; }

# uncordon_node NAME: as it was before cordon_node.
uncordon_node() {
    cordoned_for_removal "$1" || return 0
    retry 60 "the node $1 is cordoned and cannot be uncordoned; 'kubectl uncordon $1' does it" kubectl_cluster patch node "$1" --type merge -p '{"metadata":{"annotations":{"tailkube.dev/cordoned":null}},"spec":{"unschedulable":null}}'
    if cordoned_for_removal "$1"; then fail "the node $1 is still cordoned; 'kubectl uncordon $1' does it"; fi
    changed "uncordoned $1"
}

drain_node() {
    local log=$TK_RUN/drain.log end=$((SECONDS + TK_DRAIN_SECONDS)) left=$TK_DRAIN_SECONDS
    cordon_node "$1"
    until direct kubectl --kubeconfig "$KUBECONFIG_ADMIN" drain "$1" --ignore-daemonsets --delete-emptydir-data --timeout="${left}s" >"$log" 2>&1; do
        left=$((end - SECONDS))
        # kubectl gives up at the first request that fails. Only what it says of a pod is a reason not to try again.
        if [ "$left" -gt 0 ] && ! grep -q 'drain did not complete\|cannot delete' "$log"; then
            sleep 1
            continue
        fi
        uncordon_node "$1"
        fail "$1 is no longer declared, but could not be drained within $TK_DRAIN_SECONDS s, so it stays as it was: $(what_blocks "$log")$(drain_error "$log"). Make room for these pods or loosen what holds them, and run again; or give it more time with drainSeconds"
    done
    rm -f "$log"
}

# What a drain ended with that no pod held up.
drain_error() { grep -q 'drain did not complete\|cannot delete' "$1" || log_tail "$1" 2; }
