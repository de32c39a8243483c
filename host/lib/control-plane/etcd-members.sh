# shellcheck shell=bash
# requires: lib/api lib/waiting
# etcd's members, asked through the API from any control plane.
#
# Each question has three answers: yes, no, and none. `ask` repeats a question that gets no answer and then fails the stage, so
# a failed request never counts as "no". What ends on _list or _health prints its answer for `ask` and for polls; everything
# else sets ANSWER or a variable that it names, for a `fail` in a subshell would end only that.

# etcdctl_on NODE ARGUMENT...: inside that control plane's etcd, which has the tool and the certificates.
etcdctl_on() {
    local node=$1
    shift
    kubectl_cluster -n kube-system exec "etcd-$node" -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
        --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key "$@"
}

# etcd_node_list: the control planes on which etcd runs. A worker may make a mirror pod with any name and label, but only bound to
# itself: it is no control plane, and must not be asked.
etcd_node_list() {
    local planes pods node
    planes=$(kubectl_cluster get nodes -l node-role.kubernetes.io/control-plane -o 'jsonpath={.items[*].metadata.name}') || return
    pods=$(kubectl_cluster -n kube-system get pods -l component=etcd --field-selector status.phase=Running -o 'jsonpath={range .items[*]}{.spec.nodeName}={.metadata.name} {end}') || return
    for node in $planes; do
        [[ " $pods" != *" $node=etcd-$node "* ]] || printf '%s ' "$node"
    done
}

# etcd_member_list NODE: a line "ID NAME LEARNER PEER-URL CLIENT-URL" for each member: `-` for what it has not, and has not yet.
# etcd quotes names in this form of output, so none can look like another line.
etcd_member_list() {
    local text id rest
    text=$(etcdctl_on "$1" --command-timeout=10s --write-out=fields member list) || return
    text=$(awk '
        function value() { sub(/^"[A-Za-z]+" : /, ""); return $0 }
        function word(text) { if (text == "\"\"") return "-"; return text ~ /^"[][A-Za-z0-9.:\/_-]+"$/ ? substr(text, 2, length(text) - 2) : "?" }
        /^"ID" : [0-9]+$/ { id = value(); name = peer = client = "-"; next }
        /^"Name" : / { name = word(value()) }
        /^"PeerURL" : / { peer = word(value()) }
        /^"ClientURL" : / { client = word(value()) }
        /^"IsLearner" : (true|false)$/ { if (id == "") exit 1; print id, name, value(), peer, client; id = ""; count++ }
        END { exit count == 0 }' <<<"$text") || return
    # etcdctl takes the number in hexadecimal; it has 64 bits, which awk would round.
    while read -r id rest; do printf '%x %s\n' "$((id))" "$rest"; done <<<"$text"
}

# etcd_health NODE: a line "CLIENT-URL true|false" for each member that has started.
etcd_health() {
    local text
    # It fails if one of them is not healthy, after it has said which.
    text=$(etcdctl_on "$1" --command-timeout=8s --write-out=fields endpoint health --cluster) || true
    awk '
        /^"Endpoint" : "[][A-Za-z0-9.:\/_-]+"$/ { url = substr($3, 2, length($3) - 2) }
        /^"Health" : (true|false)$/ && url != "" { print url, $3; url = ""; count++ }
        END { exit count == 0 }' <<<"$text"
}

# etcd_by [NODE]: in ETCD_BY, a control plane whose etcd answers, other than NODE.
etcd_by() {
    local node end=$((SECONDS + 60))
    while :; do
        ask 60 "on which control planes etcd runs, to the API" etcd_node_list
        for node in $ANSWER; do
            [ "$node" != "${1:-}" ] || continue
            if etcd_member_list "$node" >/dev/null 2>&1; then
                ETCD_BY=$node
                return
            fi
        done
        [ "$SECONDS" -lt "$end" ] ||
            fail "no other control plane's etcd answers${1:+, so the member $1 cannot be taken out of it}; a majority of the members has to be up"
        sleep 1
    done
}

# etcd_members NODE: ANSWER is etcd_member_list's.
etcd_members() { ask 60 "which members etcd has, to etcd on $1" etcd_member_list "$1"; }

# find_member NAME [ADDRESS]: in MEMBER_ID, the ID of that node's member, or nothing if etcd has none; in ETCD_BY whom that was
# asked of, in ETCD_MEMBERS the whole list. A member that has not started has no name yet, only the address of its peer URL.
find_member() {
    etcd_by "$1"
    etcd_members "$ETCD_BY"
    ETCD_MEMBERS=$ANSWER
    MEMBER_ID=$(awk -v name="$1" -v url="${2:+https://$2:2380}" '$2 == name || ($2 == "-" && url != "" && $4 == url) {print $1; exit}' <<<"$ETCD_MEMBERS")
}

in_etcd() {
    find_member "$@"
    [ -n "$MEMBER_ID" ]
}

# majority_without ID HEALTH: whether the voting members other than ID have a majority of healthy ones among them; ANSWER says how
# many. An unstarted member counts as a voter, for etcd counts it, too.
majority_without() {
    local voters healthy
    read -r voters healthy < <(awk -v gone="$1" '
        NR == FNR { if ($2 == "true") healthy[$1]; next }
        $1 != gone && $3 == "false" { voters++; if ($5 in healthy) up++ }
        END { print voters + 0, up + 0 }' <(printf '%s\n' "$2") <(printf '%s\n' "$ETCD_MEMBERS"))
    ANSWER="$healthy healthy of $voters voting members"
    [ "$healthy" -gt $((voters / 2)) ]
}

# keep_majority NAME: fails if etcd would lose its quorum with the member that find_member found. One that restarts is waited for.
keep_majority() {
    local end=$((SECONDS + 60)) health
    while :; do
        ask 60 "which members of etcd are healthy, to etcd on $ETCD_BY" etcd_health "$ETCD_BY"
        health=$ANSWER
        if majority_without "$MEMBER_ID" "$health"; then return; fi
        [ "$SECONDS" -lt "$end" ] ||
            fail "without the member $1 etcd would have $ANSWER, which is not a majority, and the cluster would be lost; nothing was removed. Bring the others back first: 'etcdctl endpoint health --cluster' in etcd-$ETCD_BY says which"
        sleep 1
    done
}

# forget_etcd_member NAME [ADDRESS]: out of etcd, if it is in, and looked for again after that.
forget_etcd_member() {
    local end=$((SECONDS + 60)) tried='' said=''
    while in_etcd "$@"; do
        [ -z "$tried" ] || [ "$SECONDS" -lt "$end" ] ||
            fail "etcd would not remove the member $1 ($MEMBER_ID): ${said:-it is still there}; 'etcdctl endpoint status --cluster' in etcd-$ETCD_BY says more"
        keep_majority "$1"
        tried=1
        said=$(etcdctl_on "$ETCD_BY" member remove "$MEMBER_ID" 2>&1 >/dev/null | tail -n 1) || sleep 1
    done
    [ -z "$tried" ] || changed "removed $1 from etcd"
}
