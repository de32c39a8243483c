# shellcheck shell=bash
# requires: lib/etcd-members lib/members
# Removed nodes: how a node that is no longer declared leaves the cluster, while its host is still there or after it is gone.
# On a control plane that stays.
# Given: TK_NODES (names of the declared nodes), TK_DRAIN_SECONDS.

is_declared() { [[ " $TK_NODES $TK_NODE " == *" $1 "* ]]; }

# departed: ANSWER has the names of the nodes that this program made, that are no longer declared, and that are not completely
# out of the cluster. Two records say that we made one: the mark on its Node, which is the last step of a join; and the ConfigMap
# tailkube-nodes, which holds its name from the join until the last step of its removal. So a removal that was killed is
# continued, whatever is left: the Node, the member of etcd, or neither. A member of etcd without any record is left alone: the
# checks report it.
departed() {
    local name entry found=' '
    ask "$BOOT_SECONDS" "which Nodes there are, to the API" kubectl_cluster get nodes -o 'jsonpath={.items[*].metadata.name}'
    for name in $ANSWER; do
        if is_declared "$name"; then continue; fi
        # Each by itself: a node can write its own annotations, and must not be able to name another one.
        mark_of "$name"
        [ -z "$ANSWER" ] || found+="$name "
    done
    recorded_nodes
    for entry in $ANSWER; do
        name=${entry%%=*}
        if is_declared "$name" || [[ $found == *" $name "* || ! $entry =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?=[0-9.]+$ ]]; then continue; fi
        # A join that was killed before it marked the Node. At another address it may be a node that the user made; or one that
        # is to leave, and does not want to: it can remove its mark and report any address. Neither is taken for the other.
        if node_exists "$name"; then
            node_address "$name"
            [ "${ANSWER:-${entry#*=}}" = "${entry#*=}" ] ||
                fail "the Node $name is no longer declared, and is recorded with the address ${entry#*=}, but reports $ANSWER and has no mark of this program, so it is not known whose it is and nothing was removed. To remove it: 'kubectl delete node $name'. To keep it as your own: kubectl -n kube-system patch configmap tailkube-nodes --type merge -p '{\"data\":{\"$name\":null}}'. Then run again"
        fi
        found+="$name "
    done
    ANSWER=$found
}

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
    retry 60 "cannot cordon $1" kubectl_cluster patch node "$1" --type merge -p '{"metadata":{"annotations":{"tailkube.dev/cordoned":"removal"}},"spec":{"unschedulable":true}}'
}

cordoned_for_removal() {
    node_field "$1" "who has cordoned it: which note" '{.metadata.annotations.tailkube\.dev/cordoned}'
    [ "$ANSWER" = removal ]
}

# uncordon_node NAME: as it was before cordon_node; also a node that is declared again after its removal failed.
uncordon_node() {
    cordoned_for_removal "$1" || return 0
    retry 60 "$1 is cordoned and cannot be uncordoned; 'kubectl uncordon $1' does it" kubectl_cluster patch node "$1" --type merge -p '{"metadata":{"annotations":{"tailkube.dev/cordoned":null}},"spec":{"unschedulable":null}}'
    if cordoned_for_removal "$1"; then fail "$1 is still cordoned; 'kubectl uncordon $1' does it"; fi
    changed "uncordoned $1"
}

drain_node() {
    local log=$TK_RUN/drain.log end=$((SECONDS + TK_DRAIN_SECONDS)) left=$TK_DRAIN_SECONDS
    cordon_node "$1"
    until kubectl --kubeconfig "$KUBECONFIG_ADMIN" drain "$1" --ignore-daemonsets --delete-emptydir-data --timeout="${left}s" >"$log" 2>&1; do
        left=$((end - SECONDS))
        # kubectl gives up at the first request that fails. Only what it says of a pod is a reason not to try again.
        if [ "$left" -gt 0 ] && ! grep -q 'drain did not complete\|cannot delete' "$log"; then
            sleep 1
            continue
        fi
        uncordon_node "$1"
        fail "$1 is declared no more, but could not be drained within $TK_DRAIN_SECONDS s, so it stays as it was: $(what_blocks "$log")$(drain_error "$log"). Make room for these pods or loosen what holds them, and run again; or give it more time with drainSeconds"
    done
    rm -f "$log"
}

# What a drain ended with that no pod held up.
drain_error() { grep -q 'drain did not complete\|cannot delete' "$1" || log_tail "$1" 2; }

# take_out NAME: all questions come before the first change; each step is looked for again by the next run if this one is killed.
take_out() {
    local node=$1 address member=
    member_address "$node"
    address=$ANSWER
    # Asked of etcd, not of the Node's labels, which may be gone already.
    if in_etcd "$node" "$address"; then
        member=1
        keep_majority "$node"
    fi
    if node_exists "$node"; then
        # Pods on a dead machine cannot be evicted: they start elsewhere when its Node is gone.
        if ! is_ready "$node"; then
            changed "did not drain $node, which is not Ready"
        elif [ "$TK_DRAIN_SECONDS" -gt 0 ]; then
            drain_node "$node"
        fi
    fi
    [ -z "$member" ] || forget_etcd_member "$node" "$address"
    forget_node "$node"
}
