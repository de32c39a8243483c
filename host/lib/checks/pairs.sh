# shellcheck shell=bash
# Which nodes probe which. Up to a dozen nodes: each probes all others. Above: each probes PEERS_EACH others and is probed by as many,
# so that every node is covered from both sides and the work grows with the nodes, not with their square.

ALL_PAIRS_UP_TO=12
# With three nodes down, whichever they are, every other node is still judged by five of its eight on either side: their majority says
# whether it is the node that is broken, or a neighbour. And a fault between groups of nodes (two sites, two racks) is not missed:
# where it cuts 5 of 100 nodes off from the others, about 76 of the sampled paths cross it.
PEERS_EACH=8

# ring SEED NAME...: the names, a line each, in an order that the seed alone decides, on every host alike. A node more or less leaves
# the order of the others as it is.
ring() {
    local seed=$1 name
    shift
    for name in "$@"; do printf '%s %s\n' "$(printf '%s %s' "$seed" "$name" | sha256sum | cut -c1-16)" "$name"; done | sort | cut -d' ' -f2
}

# pairs SEED ALL NAME...: a line "FROM TO" for each pair; all pairs if ALL is not empty. Sampled, each node of the ring probes those
# that follow it: PEERS_EACH shifts of one cycle, which connects all nodes.
pairs() {
    local seed=$1 all=$2
    shift 2
    ring "$seed" "$@" | awk -v each="$PEERS_EACH" -v all="$all" -v small="$ALL_PAIRS_UP_TO" '
        { name[NR - 1] = $1 }
        END {
            if (all != "" || NR <= small || each > NR - 1) each = NR - 1
            for (i = 0; i < NR; i++) for (shift = 1; shift <= each; shift++) print name[i], name[(i + shift) % NR]
        }'
}

# slice INDEX WORD...: PEERS_EACH of the words, from that one on and round; all of them, if there are at most as many. For pods of CoreDNS: with
# as many of them as nodes, each would otherwise be asked by each node.
slice() {
    local i at index=$1
    shift
    if [ $# -le "$PEERS_EACH" ]; then
        echo "$*"
        return
    fi
    for ((i = 0; i < PEERS_EACH; i++)); do
        at=$(((index + i) % $# + 1))
        printf '%s ' "${!at}"
    done
}
