# shellcheck shell=bash
# How a node that is declared no more leaves the cluster, while its host is still there or after it is gone. On a control
# plane that stays; after members.sh.
# Given: TK_NODES (names of the declared nodes), TK_DRAIN_SECONDS.

# Only what this program has made a node.
departed() {
    local name mark
    kubectl_cluster get nodes -o 'jsonpath={range .items[*]}{.metadata.name}={.metadata.annotations.tailkube\.dev/joined}{"\n"}{end}' | while IFS='=' read -r name mark; do
        [ -z "$mark" ] || [[ " $TK_NODES " == *" $name "* ]] || printf '%s ' "$name"
    done
}

is_ready() { [ "$(kubectl_cluster get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
is_control_plane() { kubectl_cluster get node "$1" -o 'jsonpath={.metadata.labels}' | grep -q 'node-role.kubernetes.io/control-plane'; }

# What kubectl drain says of pods that it may not evict, once each, and the budgets that are used up.
what_blocks() {
    local log=$1 budgets
    budgets=$(kubectl_cluster get poddisruptionbudgets -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name,A:.status.disruptionsAllowed 2>/dev/null | awk '$3 == 0 {printf "%s/%s ", $1, $2}')
    sed -n 's/^.*error when evicting pods\{0,1\}\/"\([^"]*\)" -n "\([^"]*\)".*/pod \2\/\1/p; s/^error: \(cannot delete .*\)/\1/p; s/^  *\(cannot delete .*\)/\1/p' "$log" | sort -u | head -n 5 | paste -sd';' - | sed 's/;/; /g'
    [ -z "$budgets" ] || printf '(PodDisruptionBudgets that allow none at the moment: %s)' "${budgets% }"
}

drain_node() {
    local log=$TK_RUN/drain.log
    if ! kubectl --kubeconfig "$KUBECONFIG_ADMIN" drain "$1" --ignore-daemonsets --delete-emptydir-data --timeout="${TK_DRAIN_SECONDS}s" >"$log" 2>&1; then
        kubectl_cluster uncordon "$1" >/dev/null 2>&1 || true
        fail "$1 is declared no more, but could not be drained within $TK_DRAIN_SECONDS s, so it stays as it was: $(what_blocks "$log"). Make room for these pods or loosen what holds them, and run again; or give it more time with drainSeconds"
    fi
    rm -f "$log"
}

take_out() {
    # Of a dead machine nothing can be evicted: its pods start elsewhere when its Node is gone.
    if ! is_ready "$1"; then
        changed "did not drain $1, which is not Ready"
    elif [ "$TK_DRAIN_SECONDS" -gt 0 ]; then
        drain_node "$1"
    fi
    if is_control_plane "$1"; then forget_etcd_member "$1"; fi
    forget_node "$1"
}
