# shellcheck shell=bash
# requires: lib/api lib/waiting
# Labels and taints of a node as they are declared.
# Given: TK_LABELS ("node key=value" lines), TK_TAINTS ("node key=value:Effect" lines).

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
set_declared() {
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
