# shellcheck shell=bash
# requires: lib/api lib/waiting
# Pods that are older than the network.

# unmanaged_pods: "namespace name controlled|alone" of the running pods that have no endpoint of Cilium's; alone are those
# without a controller, which would not be recreated. A pod that is being deleted loses its endpoint before it is gone, so it is
# left out. Without an answer to either question it prints nothing and fails: every pod would seem to lack an endpoint.
unmanaged_pods() {
    local managed pods
    managed=$(kubectl_admin get ciliumendpoints.cilium.io -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name) || return
    pods=$(kubectl_admin get pods -A --field-selector status.phase=Running --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name,H:.spec.hostNetwork,D:.metadata.deletionTimestamp,C:.metadata.ownerReferences[*].controller) || return
    awk -v managed="$managed" 'BEGIN {n = split(managed, lines, "\n"); for (i = 1; i <= n; i++) {split(lines[i], f, " "); seen[f[1] " " f[2]] = 1}} NF && $3 != "true" && $4 == "<none>" && !(($1 " " $2) in seen) {print $1, $2, $5 ~ /true/ ? "controlled" : "alone"}' <<<"$pods"
}

no_unmanaged_pods() {
    local pods
    pods=$(unmanaged_pods) && [ -z "$pods" ]
}

# A pod that got its network before Cilium cannot reach other nodes until it is replaced.
restart_unmanaged_pods() {
    local namespace name kind
    # With this value Cilium keeps no endpoints in the API, so they say nothing about pods.
    ask 60 "whether Cilium keeps its endpoints in the API (ConfigMap cilium-config), to the API" kubectl_admin -n kube-system get configmap cilium-config --ignore-not-found -o 'jsonpath={.data.disable-endpoint-crd}'
    [ "$ANSWER" != true ] || return 0
    # Cilium writes a new pod's endpoint some seconds late, on a slow host half a minute. Pods that really lack one wait it out.
    if poll 60 no_unmanaged_pods; then return 0; fi
    ask 60 "which pods have no CiliumEndpoint, to the API" unmanaged_pods
    while read -r namespace name kind; do
        [ -n "$name" ] || continue
        if [ "$kind" = alone ]; then
            changed "left pod $namespace/$name, which is older than Cilium and has no way to other nodes: it has no controller that would recreate it"
            continue
        fi
        retry 60 "cannot restart the pod $namespace/$name, which is older than Cilium" kubectl_admin -n "$namespace" delete pod "$name" --wait=false --ignore-not-found
        changed "restarted pod $namespace/$name, which was older than Cilium"
    done <<<"$ANSWER"
}
