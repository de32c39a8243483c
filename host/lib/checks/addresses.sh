# shellcheck shell=bash
# requires: lib/control-plane/etcd-members
# Is every address where it was declared: of nodes, API servers, the endpoint and etcd's members?
# Given: TK_NODES ("name=ip" words), TK_CONTROL_PLANES (names), TK_ENDPOINT, TK_ENDPOINT_PORT, TK_API_PORT.

# Lines "name|address|ready|architecture|pod CIDR".
node_states() { kubectl_admin get nodes -o 'jsonpath={range .items[*]}{.metadata.name}|{.status.addresses[?(@.type=="InternalIP")].address}|{.status.conditions[?(@.type=="Ready")].status}|{.status.nodeInfo.architecture}|{.spec.podCIDR}{"\n"}{end}'; }

# learn_nodes: what the API says of each node, in NODE_ADDRESS, NODE_READY, NODE_ARCHITECTURE and NODE_PODS: one question for all of them. One that
# gets no answer is not a finding.
# shellcheck disable=SC2034  # checks/paths.sh and checks/route-holders.sh read the last two
learn_nodes() {
    local name address ready architecture pods
    ask 60 "which state the nodes have, to the API" node_states
    declare -gA NODE_ADDRESS=() NODE_READY=() NODE_ARCHITECTURE=() NODE_PODS=()
    while IFS='|' read -r name address ready architecture pods; do
        [ -n "$name" ] || continue
        NODE_ADDRESS[$name]=$address NODE_READY[$name]=$ready NODE_ARCHITECTURE[$name]=$architecture NODE_PODS[$name]=$pods
    done <<<"$ANSWER"
}
node_is_ready() { [ "${NODE_READY[$1]:-}" = True ]; }

# ready_at SERVER: asked for a while, for one lost request does not mean that it does not answer.
says_ok() { [ "$(kubectl_admin --server "$1" get --raw /readyz)" = ok ]; }
ready_at() { poll 15 says_ok "$1"; }

declared_control_plane() { [[ " $TK_CONTROL_PLANES " == *" $1 "* ]]; }

check_nodes() {
    local node name ip
    learn_nodes
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        [ "${NODE_ADDRESS[$name]:-}" = "$ip" ] || failed "$name: INTERNAL-IP is '${NODE_ADDRESS[$name]:-}', declared $ip; look at node-ip in /var/lib/kubelet/kubeadm-flags.env on it"
        node_is_ready "$name" || failed "$name: not Ready; try 'kubectl describe node $name' and 'journalctl -u kubelet' on it"
    done
}

# The certificate of each API server must name the address that it is reached by: kubectl verifies it.
check_api_servers() {
    local node name ip
    ask 60 "which endpoints the service default/kubernetes has, to the API" kubectl_admin get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o 'jsonpath={.items[*].endpoints[*].addresses[*]}'
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        declared_control_plane "$name" || continue
        ready_at "https://$ip:$TK_API_PORT" || failed "$name: its API server does not answer at https://$ip:$TK_API_PORT under a certificate for that address"
        grep -qwF "$ip" <<<"$ANSWER" || failed "$name: its API server does not advertise $ip (endpoints of service default/kubernetes)"
    done
    ready_at "https://$TK_ENDPOINT:$TK_ENDPOINT_PORT" || failed "the endpoint https://$TK_ENDPOINT:$TK_ENDPOINT_PORT does not answer"
}

check_etcd_members() {
    local node name ip members
    etcd_members "$TK_NODE"
    members=$ANSWER
    # Sorted lists of names: one that has not started is `-`.
    [ "$(awk '{print $2}' <<<"$members" | sort)" = "$(tr ' ' '\n' <<<"$TK_CONTROL_PLANES" | sort)" ] ||
        failed "etcd's members are not the control planes ($TK_CONTROL_PLANES): $(awk '{printf "%s%s (%s, %s%s)", separator, $2, $1, $4, $3 == "true" ? ", learner" : ""; separator = ", "}' <<<"$members")"
    for node in $TK_NODES; do
        name=${node%%=*} ip=${node#*=}
        declared_control_plane "$name" || continue
        awk -v name="$name" -v url="https://$ip:2380" '$2 == name && $4 == url {found = 1} END {exit !found}' <<<"$members" || failed "$name: etcd's peer URL is not https://$ip:2380"
    done
}

check_addresses() {
    check_nodes
    check_api_servers
    check_etcd_members
}
