# shellcheck shell=bash
# requires: lib/cluster/removed-nodes lib/cluster/labels-and-taints lib/cluster/unmanaged-pods lib/cluster/coredns lib/network/load-balancer-pool lib/security/reencrypt-secrets
# Stage finalize, on the first control plane, after Cilium's release and all joins: nodes that are no longer declared are drained
# and taken out, labels and taints are as declared, Cilium and CoreDNS ready, the addresses of LoadBalancer services too, pods that
# are older than the network restarted once.
# TK_MARKS and TK_RELEASE are there to run it again when they change.

apply() {
    local node
    find_removed_nodes
    for node in $ANSWER; do remove_node "$node"; done
    ask 60 "which nodes a removal has cordoned, to the API" nodes_cordoned_for_removal
    for node in $ANSWER; do
        # Declared again after its removal failed.
        [[ " $TK_NODES " != *" $node "* ]] || uncordon_node "$node"
    done
    ask_node_settings
    ask_nodes
    for node in $TK_NODES; do
        set_declared "$node" labels "$(words_of "$node" "$TK_LABELS")"
        set_declared "$node" taints "$(words_of "$node" "$TK_TAINTS")"
    done
    forget_node_settings
    wait_for_cilium
    set_balancer_objects
    poll "$TK_READY_SECONDS" nodes_ready || fail "not every node is Ready:$NOT_READY (waited $TK_READY_SECONDS s$NO_ANSWER); see 'kubectl get nodes'"
    restart_unmanaged_pods
    wait_for "$TK_READY_SECONDS" "CoreDNS is not ready: see 'kubectl -n kube-system describe pods -l k8s-app=kube-dns'" rolled_out deployment/coredns
    spread_dns
    spread_dns_drains
    store_secrets
    result
}
