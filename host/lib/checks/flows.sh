# shellcheck shell=bash
# requires: lib/api
# Which packets of a failed path Cilium has dropped, and why: by Hubble in the agents of both nodes, and only with the option `hubble`.
# Given (beside the stage's): TK_HUBBLE (absent: no flow is shown), and PEER and RUNNING of checks/paths.sh.

# A failure is looked up on at most two nodes, each within HUBBLE_SECONDS, and only for the first of them. An agent keeps its last
# 4095 flows: on a busy node those of a minute ago may be gone.
HUBBLE_SECONDS=15
FLOWS_OF_FAILURES=6
FLOW_LINES=3
FLOWS_SINCE=15m

has_hubble() { [ -n "${TK_HUBBLE:-}" ]; }

# "node=pod" of each agent of Cilium.
agent_pods() { kubectl_admin -n kube-system get pods -l k8s-app=cilium -o 'jsonpath={range .items[*]}{.spec.nodeName}={.metadata.name} {end}'; }

# learn_agents: in AGENT, the agent's pod of each node. Flows only explain a failure: without an answer they are not shown, and
# the failures are.
learn_agents() {
    local entry text
    declare -gA AGENT=()
    has_hubble && text=$(agent_pods 2>/dev/null) || return 0
    for entry in $text; do AGENT[${entry%%=*}]=${entry#*=}; done
}

# hubble_on NODE ARGUMENT...: Hubble's command in the agent's pod there.
hubble_on() {
    local node=$1
    shift
    [ -n "${AGENT[$node]:-}" ] || return
    timeout "$HUBBLE_SECONDS" kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system exec "${AGENT[$node]}" -c cilium-agent -- hubble "$@" </dev/null
}

# The addresses that stand for a node's probe where its name is not known: pod, service and node.
addresses_of() {
    local pod service node
    IFS='=' read -r _ pod service node <<<"${PEER[$1]:-}"
    printf '%s' "$NAMESPACE/$1 $pod $service $node"
}

# dropped_on NODE KIND FROM TO: the packets of that path that Cilium has dropped there, a line for each that differs in more than its
# time and its source port. Lines of `hubble observe` are "TIME: SOURCE (ID:1) -> DESTINATION (ID:2) REASON DROPPED (DETAILS)".
dropped_on() {
    local node=$1 text to
    to=$(addresses_of "$4")
    # Any pod of CoreDNS may have been asked, or none on that node.
    case $2 in dns | coredns) to="$to kube-system/coredns-* kube-system/kube-dns" ;; esac
    text=$(hubble_on "$node" observe --verdict DROPPED --since "$FLOWS_SINCE" --last 200 --pod "$NAMESPACE/$3" --pod "$NAMESPACE/$4" -o compact --color never 2>/dev/null) || return
    tr -cd '[:print:]\n' <<<"$text" | awk -v from="$(addresses_of "$3")" -v to="$to" -v most="$FLOW_LINES" '
        function host(endpoint) { sub(/:[0-9]+$/, "", endpoint); return endpoint }
        function is(endpoint, names, list, count, i) {
            count = split(names, list, " ")
            for (i = 1; i <= count; i++) {
                if (list[i] == endpoint) return 1
                if (list[i] ~ /\*$/ && index(endpoint, substr(list[i], 1, length(list[i]) - 1)) == 1) return 1
            }
            return 0
        }
        {
            sub(/^[A-Z][a-z][a-z] +[0-9]+ [0-9:.]+: /, "")
            sub(/ \(\)$/, "")
            for (arrow = 2; arrow < NF && $arrow !~ /^(->|<-|<>)$/; arrow++);
            source = host($1); destination = host($(arrow + 1))
            if (!((is(source, from) && is(destination, to)) || (is(source, to) && is(destination, from)))) next
            # The port that the asking side has picked says nothing.
            if ($1 ~ /:[0-9]+$/ && $1 !~ /:(80|8080|53)$/) $1 = source
            if ($(arrow + 1) ~ /:[0-9]+$/ && $(arrow + 1) !~ /:(80|8080|53)$/) $(arrow + 1) = destination
            if (!seen[$0]++ && ++shown <= most) print substr($0, 1, 300)
        }'
}

# learn_flow KIND FROM TO: in FLOW, what Hubble knows about that failure, as the end of its line.
learn_flow() {
    local kind=$1 from=$2 to=$3 node nodes=() jobs=() silent='' quiet='' line
    FLOW=
    has_hubble && [ "${FLOWS_ASKED:-0}" -lt "$FLOWS_OF_FAILURES" ] || return 0
    for node in "$from" "$to"; do
        # Of one that is not Ready there is no answer to wait for.
        [[ " $RUNNING " != *" $node "* || " ${nodes[*]} " == *" $node "* ]] || nodes+=("$node")
    done
    [ ${#nodes[@]} -gt 0 ] || return 0
    FLOWS_ASKED=$((${FLOWS_ASKED:-0} + 1))
    for node in "${nodes[@]}"; do
        { dropped_on "$node" "$kind" "$from" "$to" >"$TK_RUN/flow.$node" || rm -f "$TK_RUN/flow.$node"; } &
        jobs+=($!)
    done
    wait "${jobs[@]}"
    for node in "${nodes[@]}"; do
        if [ ! -e "$TK_RUN/flow.$node" ]; then
            silent+="$node "
        elif [ ! -s "$TK_RUN/flow.$node" ]; then
            quiet+="$node "
        else
            while IFS= read -r line; do FLOW+="; Hubble on $node: $line"; done <"$TK_RUN/flow.$node"
        fi
        rm -f "$TK_RUN/flow.$node"
    done
    quiet=${quiet% } silent=${silent% }
    [ -n "$FLOW" ] || [ -z "$quiet" ] || FLOW="; Hubble saw Cilium drop no packet of it on ${quiet// / and }"
    [ -z "$silent" ] || FLOW+="; Hubble on ${silent// / and } gave no answer"
}
