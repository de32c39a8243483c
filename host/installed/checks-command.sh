#!/bin/bash
# Checks the cluster as `pulumi up` does at its end, at any time and from any control plane, and prints which paths between which nodes
# work. It leaves nothing in the cluster: the namespace of its probes goes at the end. The stage check-cluster is above these lines.
# shellcheck disable=SC2034  # the stage reads the variables
usage() {
    cat <<'END'
usage: checks [--nodes NAME,NAME...] [--seed TEXT] [--all] [--json]
  --nodes   only these nodes; without it, all that the last pulumi up declared
  --seed    above 12 nodes, each node probes 8 others: which ones. Without it, those that pulumi up probes
  --all     every pair of nodes, also above 12 nodes
  --json    for a program
Exit status: 0 if all is well, 1 if a check failed or could not be made, 2 for wrong options.
END
}

wrong_option() {
    printf 'checks: %s\n' "$1" >&2
    usage >&2
    exit 2
}

AS_COMMAND=matrix
while [ $# -gt 0 ]; do
    case $1 in
    --nodes)
        [[ ${2:-} =~ ^[a-z0-9-]+(,[a-z0-9-]+)*$ ]] || wrong_option "--nodes: '${2:-}' is invalid. Allowed: names of nodes with commas between them"
        ONLY_NODES=${2//,/ }
        shift
        ;;
    --seed)
        [[ ${2:-} =~ ^[A-Za-z0-9._-]{1,40}$ ]] || wrong_option "--seed: '${2:-}' is invalid. Allowed: up to 40 letters, digits, '.', '_' or '-'"
        SEED=$2
        shift
        ;;
    --all) ALL_PAIRS=1 ;;
    --json) AS_COMMAND=json ;;
    -h | --help)
        usage
        exit
        ;;
    *) wrong_option "$1 is no option" ;;
    esac
    shift
done
if [ "$(id -u)" != 0 ]; then
    echo "checks: only root may read this control plane's credentials. Use sudo" >&2
    exit 1
fi
# The probes are removed on the way out, also by these.
trap 'exit 130' INT TERM HUP
echo "checks: probing from every node; this takes a minute or two, and longer if a node does not answer" >&2
main apply </dev/null
