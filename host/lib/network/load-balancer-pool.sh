# shellcheck shell=bash
# requires: lib/api lib/waiting lib/network/tailnet-route-overlap
# The addresses that Cilium gives to Services of type LoadBalancer, and in a lan the nodes that answer ARP for them. On a control plane,
# when Cilium is ready. The objects are called tailkube and carry the program's label; any other object of these kinds is the user's.
# Given: TK_NODE_NETWORK, TK_LOAD_BALANCER (network of the addresses; absent: none), and with it TK_LOAD_BALANCER_NODES (all, or workers),
# in a lan TK_LOAD_BALANCER_DEVICES (regular expressions for their interfaces, a JSON array).

POOLS=ciliumloadbalancerippools.cilium.io
ANNOUNCEMENTS=ciliuml2announcementpolicies.cilium.io

balancer_pool() {
    cat <<EOF
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: tailkube, labels: {app.kubernetes.io/managed-by: tailkube}}
spec:
  blocks: [{cidr: $TK_LOAD_BALANCER}]
  # In a lan they may be the network's own and its broadcast address, and elsewhere some devices take them for these.
  allowFirstLastIPs: "No"
EOF
}

# balancer_announcement: as JSON, with its keys in the order in which the API prints them.
balancer_announcement() {
    printf '{"interfaces":%s,"loadBalancerIPs":true' "$TK_LOAD_BALANCER_DEVICES"
    [ "$TK_LOAD_BALANCER_NODES" = all ] || printf ',"nodeSelector":{"matchExpressions":[{"key":"node-role.kubernetes.io/control-plane","operator":"DoesNotExist"}]}'
    printf '}'
}
announcement_policy() {
    cat <<EOF
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: tailkube, labels: {app.kubernetes.io/managed-by: tailkube}}
spec: $(balancer_announcement)
EOF
}

apply_balancer_pool() { balancer_pool | kubectl_admin apply -f -; }
apply_announcement_policy() { announcement_policy | kubectl_admin apply -f -; }

# ask_ours KIND WHAT JSONPATH: ANSWER is that of the object tailkube, nothing if there is none. Fails if it is not ours.
ask_ours() {
    ask 60 "whether there is a $2 tailkube, to the API" kubectl_admin get "$1" tailkube --ignore-not-found -o "jsonpath={.metadata.labels.app\.kubernetes\.io/managed-by}|$3"
    case $ANSWER in
    '') ;;
    'tailkube|'*) ANSWER=${ANSWER#*|} ;;
    *) fail "there is a $2 tailkube that this program did not make ('kubectl get $1 tailkube'). Rename it, and run again" ;;
    esac
}

node_addresses() { kubectl_admin get nodes -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}'; }

# check_balancer_overlap: before the first service gets an address that another cluster in the tailnet has as well.
check_balancer_overlap() {
    local found nodes
    [ "$TK_NODE_NETWORK" = tailnet ] || return 0
    ask 60 "which addresses the nodes have, to the API" node_addresses
    nodes=$ANSWER
    ask 30 "which routes other devices of the tailnet have (tailscale status)" tailnet_status
    found=$(overlapping_routes "$nodes" <<<"$ANSWER") || fail "cannot read which routes other devices of the tailnet have (tailscale status --json)"
    found=$(grep -F "in loadBalancer.cidr " <<<"$found" | sort | first_three) || true
    [ -z "$found" ] ||
        fail "another device of the tailnet has a route to the addresses of LoadBalancer services: $found. No service was given any. Choose another tailkube:loadBalancer.cidr, or take the route from that device, and run again"
}

set_balancer_pool() {
    ask_ours "$POOLS" CiliumLoadBalancerIPPool '{.spec.blocks[*].cidr} {.spec.allowFirstLastIPs}'
    [ "$ANSWER" != "$TK_LOAD_BALANCER No" ] || return 0
    check_balancer_overlap
    retry 60 "cannot make the CiliumLoadBalancerIPPool tailkube" apply_balancer_pool
    changed "LoadBalancer services get addresses of $TK_LOAD_BALANCER"
}

set_announcements() {
    ask_ours "$ANNOUNCEMENTS" CiliumL2AnnouncementPolicy '{.spec}'
    [ "$ANSWER" != "$(balancer_announcement)" ] || return 0
    retry 60 "cannot make the CiliumL2AnnouncementPolicy tailkube" apply_announcement_policy
    changed "nodes announce the addresses of LoadBalancer services"
}

balancer_kinds() { kubectl_admin get crd "$POOLS" "$ANNOUNCEMENTS" --ignore-not-found -o name; }
balancer_objects() { kubectl_admin get "$POOLS,$ANNOUNCEMENTS" -l app.kubernetes.io/managed-by=tailkube -o name; }

# announcement_leases: Cilium takes them by itself only while it announces.
announcement_leases() {
    local leases
    leases=$(kubectl_admin -n kube-system get leases -o name) || return
    grep -F /cilium-l2announce- <<<"$leases" || true
}
announces() { kubectl_admin -n kube-system get configmap cilium-config -o 'jsonpath={.data.enable-l2-announcements}'; }

# remove_announcement_leases: unless the user's own values still have Cilium announce.
remove_announcement_leases() {
    local lease
    ask 60 "whether Cilium announces addresses (ConfigMap cilium-config), to the API" announces
    [ "$ANSWER" != true ] || return 0
    ask 60 "which leases kube-system has, to the API" announcement_leases
    for lease in $ANSWER; do
        retry 60 "cannot delete the ${lease#*/} of Cilium, which no longer announces addresses" kubectl_admin -n kube-system delete "$lease" --ignore-not-found
    done
}

# remove_balancer_objects: the policy after what it has led to.
remove_balancer_objects() {
    local object objects
    ask 60 "which CustomResourceDefinitions Cilium has added to the API" balancer_kinds
    [ "$(wc -w <<<"$ANSWER")" = 2 ] || return 0
    ask 60 "which pools of addresses for LoadBalancer services are this program's, to the API" balancer_objects
    objects=$ANSWER
    for object in $objects; do
        [[ $object != *l2announcement* ]] || remove_announcement_leases
        retry 60 "cannot delete $object" kubectl_admin delete "$object" --ignore-not-found
        changed "deleted $object"
    done
}

has_balancer_kinds() { [ "$(balancer_kinds | wc -w)" = 2 ]; }

set_balancer_objects() {
    if [ -z "${TK_LOAD_BALANCER:-}" ]; then
        remove_balancer_objects
        return
    fi
    wait_for 120 "Cilium's operator has not added CiliumLoadBalancerIPPool to the API: see 'kubectl -n kube-system logs deployment/cilium-operator'" has_balancer_kinds
    set_balancer_pool
    if [ "$TK_NODE_NETWORK" = lan ]; then set_announcements; fi
}
