# shellcheck shell=bash
# requires: lib/api lib/waiting
# A node drains itself by the kubelet's own identity, which may cordon its Node object and evict the pods that are bound
# to it, and nothing else in the cluster.
# Given (beside kubeadm.sh's): TK_DRAIN_SECONDS (bound; 0: pods stay where they are).

# Says on the Node object that it was us who cordoned it: a node that the user has cordoned stays so.
CORDONED=tailkube.dev/cordoned

# node_request METHOD PATH TYPE BODY: prints the status code, 000 without an answer; the answer is in $TK_RUN/answer. Not
# kubectl, which drops the part of a refusal that names the budget, and is one of the things that an upgrade exchanges.
node_request() {
    rm -f "$TK_RUN/answer"
    curl -s --max-time 20 --noproxy '*' --cacert /etc/kubernetes/pki/ca.crt --cert /var/lib/kubelet/pki/kubelet-client-current.pem \
        -X "$1" -H "Content-Type: $3" --data-binary "$4" -o "$TK_RUN/answer" -w '%{http_code}' \
        "https://$TK_ENDPOINT:$TK_ENDPOINT_PORT$2" 2>/dev/null || true
}

# The most exact message of an answer: the last one, for causes come after the summary.
answer_message() { tr -s '\n\t ' ' ' <"$TK_RUN/answer" 2>/dev/null | sed -n 's/.*"message": *"\(\([^"\\]\|\\.\)*\)".*/\1/p'; }

node_patched() { [ "$(node_request PATCH "/api/v1/nodes/$TK_NODE" application/merge-patch+json "$1")" = 200 ]; }

# node_question WHAT JSONPATH: ANSWER is that field of this node's Node; nothing if the field or the Node does not exist.
node_question() { ask 60 "$1, to the API by the kubelet's identity" kubectl_node get node "$TK_NODE" --ignore-not-found -o "jsonpath=$2"; }

cordoned_by_us() {
    node_question "whether this program has cordoned the node" '{.metadata.annotations.tailkube\.dev/cordoned}'
    [ -n "$ANSWER" ]
}

cordon() {
    node_question "whether the node is cordoned" '{.spec.unschedulable}'
    [ "$ANSWER" != true ] || return 0
    # At once, so that no kill leaves a node cordoned that nobody says has to be uncordoned.
    poll 60 node_patched "{\"metadata\":{\"annotations\":{\"$CORDONED\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}},\"spec\":{\"unschedulable\":true}}" ||
        fail "the node cannot be cordoned: $(answer_message)"
    changed "cordoned the node"
}

uncordon() {
    cordoned_by_us || return 0
    poll 60 node_patched "{\"metadata\":{\"annotations\":{\"$CORDONED\":null}},\"spec\":{\"unschedulable\":null}}" ||
        fail "the node is cordoned and cannot be uncordoned: $(answer_message)"
    # A proxy or a balancer between may have answered, too.
    if cordoned_by_us; then fail "the node is still cordoned, though the API took the request; 'kubectl uncordon $TK_NODE' does it"; fi
    changed "uncordoned the node"
}

# "uid namespace name" of the pods that have to leave. A DaemonSet's pods belong to the node, and so does a static pod's mirror,
# which the Node owns. No text that a pod's author may choose is in this list: it could look like another pod's line.
evictable_pods() {
    local pods
    pods=$(kubectl_node get pods -A --field-selector "spec.nodeName=$TK_NODE,status.phase!=Succeeded,status.phase!=Failed" --no-headers \
        -o 'custom-columns=U:.metadata.uid,N:.metadata.namespace,P:.metadata.name,D:.metadata.ownerReferences[?(@.kind=="DaemonSet")].controller,M:.metadata.ownerReferences[?(@.kind=="Node")].controller' 2>/dev/null) || return
    awk 'NF && $4 != "true" && $5 != "true" {print $1, $2, $3}' <<<"$pods"
}

# evict UID NAMESPACE NAME: notes in HELD_BY what keeps the pod, or that nothing does.
evict() {
    local code message
    code=$(node_request POST "/api/v1/namespaces/$2/pods/$3/eviction" application/json \
        "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$3\",\"namespace\":\"$2\"},\"deleteOptions\":{\"preconditions\":{\"uid\":\"$1\"}}}")
    case $code in
    # Or it is gone, or another one has its name.
    2* | 404 | 409) HELD_BY[$1]= ;;
    000) HELD_BY[$1]="the API does not answer" ;;
    *)
        message=$(answer_message)
        HELD_BY[$1]=${message:-"the API answers with status $code"}
        ;;
    esac
}

# drain: the node takes no pods, and those that it had are gone to others. Budgets (PodDisruptionBudget) are kept: what
# they hold back is asked for again until the time is over; then the node is as before, and the stage fails.
drain() {
    local end=$((SECONDS + TK_DRAIN_SECONDS)) before pods left uid namespace name held=
    declare -gA HELD_BY=()
    [ "$TK_DRAIN_SECONDS" -gt 0 ] || return 0
    cordon
    # Those of now and no later ones: a pod that tolerates the cordon may come back to this node as often as it is evicted.
    until before=$(evictable_pods); do
        [ "$SECONDS" -lt "$end" ] || {
            uncordon
            fail "no answer after $TK_DRAIN_SECONDS s to the question which pods are on this node, to the API by the kubelet's identity; the node is uncordoned again"
        }
        sleep 1
    done
    left=$before
    while pods=$(evictable_pods) || pods=$left; do
        # An answer that does not come leaves everything as it was.
        left=$(grep -xFf <(printf '%s\n' "$before") <<<"$pods" | grep .) || break
        while read -r uid namespace name; do
            # An evicted pod takes its grace period to end.
            [ "${HELD_BY[$uid]-?}" = "" ] || evict "$uid" "$namespace" "$name"
        done <<<"$left"
        if [ "$SECONDS" -ge "$end" ]; then
            while read -r uid namespace name; do
                held+="$namespace/$name (${HELD_BY[$uid]:-evicted, but it has not ended}), "
            done <<<"$left"
            uncordon
            fail "not drained within $TK_DRAIN_SECONDS s, and uncordoned again. Remaining pods: ${held%, }. Give them more replicas, or room on other nodes, or delete them; tailkube:kubernetes.drainSeconds is the bound (0: no drain)"
        fi
        sleep 1
    done
    changed "drained the node"
}
