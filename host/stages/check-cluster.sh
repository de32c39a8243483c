# shellcheck shell=bash
# requires: lib/checks/values lib/checks/addresses lib/checks/vip lib/checks/route-holders lib/checks/paths lib/checks/flows lib/checks/report lib/checks/load-balancer lib/checks/hubble
# Stage check-cluster, on the first control plane: is every address where it was declared, and does every path between the nodes work?
# The command /usr/local/lib/tailkube/checks, on every control plane, is this stage with host/installed/checks-command.sh behind it.
# TK_RELEASE and TK_SOFTWARE are there to run it again when they change.
# Given (beside kubeadm.sh's): what its parts name in their headers. The command sets AS_COMMAND (matrix or json), and as its options say
# SEED, ALL_PAIRS and ONLY_NODES.
# shellcheck disable=SC2034  # its parts read what it sets

FAILURES=()
failed() { FAILURES+=("$*"); }
# What the probes found, for checks/report.sh.
FINDINGS=$TK_RUN/findings

AS_COMMAND='' SEED='' ALL_PAIRS='' ONLY_NODES=''

# only_nodes NAME...: TK_NODES has these only.
only_nodes() {
    local name node words=
    for name in "$@"; do
        for node in $TK_NODES none; do [ "${node%%=*}" != "$name" ] || break; done
        [ "$node" != none ] || fail "--nodes: $name is no node of the cluster. Allowed: $(sed 's/=[^ ]*//g; s/ /, /g' <<<"$TK_NODES")"
        words+="$node "
    done
    TK_NODES=${words% }
}

# begin: the values, and what follows from them. The same nodes have the same seed, so the next run repeats what failed in this one.
begin() {
    NAMESPACE=$(checks_namespace)
    if [ -n "$AS_COMMAND" ]; then read_values; else note_values; fi
    [ -n "$SEED" ] || SEED=$(printf '%s' "$TK_NODES" | sha256sum | cut -c1-8)
    # shellcheck disable=SC2086  # words
    [ -z "$ONLY_NODES" ] || only_nodes $ONLY_NODES
    NODES=$(wc -w <<<"$TK_NODES")
}

# gather: all findings, in FAILURES.
gather() {
    local line
    # Before the failures are put into words, in a shell of their own.
    if grep -q '^failed ' "$FINDINGS"; then learn_agents; fi
    while IFS= read -r line; do failed "$line"; done < <(path_failures)
    count_paths
}

apply() {
    begin
    trap 'forget_probes >/dev/null 2>&1 || true' EXIT
    check_addresses
    check_vip
    check_routes
    check_paths
    gather
    check_load_balancer
    check_hubble
    case $AS_COMMAND in
    matrix) print_report ;;
    json) print_json ;;
    *)
        [ ${#FAILURES[@]} = 0 ] || fail "$(error_text)"
        result paths "$PATHS" nodes "$NODES" pairs "$PROBED" seed "$SEED"
        ;;
    esac
    [ ${#FAILURES[@]} = 0 ] || exit 1
}
