# shellcheck shell=bash
# requires: lib/api lib/cluster/notes lib/waiting
# Labels and taints of nodes as they are declared.
# Given: TK_NODES (names), TK_LABELS ("node key=value" lines), TK_TAINTS ("node key=value:Effect" lines).
#
# What was set is recorded in the ConfigMap kube-system/tailkube-node-settings, with a key NAME.labels and NAME.taints for each
# node. Not on the Node itself: a node may write its own annotations, and could have an administrator's taint removed there, or
# pass for one that has its taints already.

# identity KIND ITEM: what two items of one node differ in. A taint is its key and its effect, whatever its value.
identity() {
    case $1 in
    labels) printf '%s' "${2%%=*}" ;;
    taints) printf '%s:%s' "${2%%[=:]*}" "${2##*:}" ;;
    esac
}

# items_of KIND TEXT: sets ITEMS, with a blank before and behind each. No key or value has a character of JSON's, or a colon.
items_of() {
    if [ "$1" = labels ]; then
        ITEMS=${2//[\{\}\"]/}
        ITEMS=${ITEMS//,/ }
        ITEMS=" ${ITEMS//:/=} "
    else
        ITEMS=" ${2//=:/:} "
    fi
}

taints_path() { printf '%s' '{range .spec.taints[*]}{.key}={.value}:{.effect} {end}'; }

# ask_nodes: what all nodes have now, in one question: sets NODES_HAVE, a line "NAME.labels JSON" and a line "NAME.taints ITEM…" each.
ask_nodes() {
    ask 60 "which labels and taints the nodes have, to the API" \
        kubectl_admin get nodes -o "jsonpath={range .items[*]}{.metadata.name}.labels {.metadata.labels}{\"\\n\"}{.metadata.name}.taints $(taints_path){\"\\n\"}{end}"
    NODES_HAVE=$ANSWER
}

# ask_items NODE KIND: sets ITEMS to what the node has now.
ask_items() {
    if [ "$2" = labels ]; then
        ask 60 "which labels node $1 has, to the API" kubectl_admin get node "$1" -o 'jsonpath={.metadata.labels}'
    else
        ask 60 "which taints node $1 has, to the API" kubectl_admin get node "$1" -o "jsonpath=$(taints_path)"
    fi
    items_of "$2" "$ANSWER"
}

# line_of LINES KEY: what is behind that key, the first word of one of the lines; fails if there is none.
line_of() { awk -v key="$2" '$1 == key {print substr($0, length(key) + 2); found = 1} END {exit !found}' <<<"$1"; }

# has_item NODE KIND KEY: whether the node has it now. A taint's KEY is KEY:EFFECT.
has_item() {
    local item ITEMS
    ask_items "$1" "$2"
    for item in $ITEMS; do
        [ "$(identity "$2" "$item")" != "$3" ] || return 0
    done
    return 1
}

# take_back NODE KIND KEY: the item is gone after it, also if someone else took it away.
take_back() {
    local end=$((SECONDS + 60))
    while has_item "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "cannot take the ${2%s} $3 from node $1, which declares it no longer"
        kubectl_admin "${2%s}" node "$1" "$3-" >/dev/null 2>&1 || sleep 1
    done
}

# ask_node_settings: sets SETTINGS, a line "NAME.KIND ITEM…" for each record.
ask_node_settings() {
    # shellcheck disable=SC2016  # the template's own variables
    ask 60 "which labels and taints are recorded in the ConfigMap kube-system/tailkube-node-settings, to the API" \
        kubectl_admin -n kube-system get configmap tailkube-node-settings --ignore-not-found -o 'go-template={{range $key, $items := .data}}{{$key}} {{$items}}{{"\n"}}{{end}}'
    SETTINGS=$ANSWER
}

# note_items NODE KIND ITEMS
note_items() {
    local value=null
    [ -z "$3" ] || value="\"$3\""
    retry 60 "cannot record the $2 of node $1 in the ConfigMap kube-system/tailkube-node-settings" \
        patch_note tailkube-node-settings "{\"data\":{\"$1.$2\":$value}}"
}

# set_declared NODE KIND ITEMS: what the record has and ITEMS have no longer is taken back, and nothing else is. Of SETTINGS and NODES_HAVE.
set_declared() {
    local node=$1 kind=$2 wanted=${3//=:/:} before has noted item keep=' ' former=() missing=() ITEMS
    before=$(line_of "$SETTINGS" "$node.$kind") || before=
    if has=$(line_of "$NODES_HAVE" "$node.$kind"); then items_of "$kind" "$has"; else ask_items "$node" "$kind"; fi
    for item in $wanted; do
        keep+="$(identity "$kind" "$item") "
        [[ $ITEMS == *" $item "* ]] || missing+=("$item")
    done
    for item in $before; do
        # An item whose value alone changed is overwritten below, not missing for a moment.
        [[ $keep == *" $(identity "$kind" "$item") "* ]] || former+=("$item")
    done
    [ "$before" != "$wanted" ] || [ ${#missing[@]} -gt 0 ] || return 0
    # Before the change: what a killed run has set is recorded.
    noted="$wanted${former[*]:+${wanted:+ }${former[*]}}"
    [ "$noted" = "$before" ] || note_items "$node" "$kind" "$noted"
    for item in "${former[@]}"; do take_back "$node" "$kind" "$(identity "$kind" "$item")"; done
    for item in "${missing[@]}"; do
        retry 60 "cannot set the ${kind%s} $item on node $node" kubectl_admin "${kind%s}" --overwrite node "$node" "$item"
    done
    [ "$noted" = "$wanted" ] || note_items "$node" "$kind" "$wanted"
    changed "$kind of $node"
}

words_of() { awk -v node="$1" '$1 == node {printf "%s%s", separator, $2; separator = " "}' <<<"$2"; }

# forget_node_settings: the records of nodes that are no longer declared, and have left. Of SETTINGS.
forget_node_settings() {
    local key
    while read -r key _; do
        if [[ -z $key || " $TK_NODES " == *" ${key%.*} "* ]]; then continue; fi
        note_items "${key%.*}" "${key##*.}" ''
    done <<<"$SETTINGS"
}
