# shellcheck shell=bash
# requires: lib/waiting
# Whether another device of the tailnet already has the networks of a cluster that is about to be made: two clusters that
# advertise the same pod networks, or the same endpoint, take each other's traffic. On a control plane.
#
# Only the init node asks, and only before it inits. Until then no node of the stack advertises anything for the cluster, so every
# such route belongs to something else. Later the nodes' own routes are there, also when a snapshot is restored: its workers
# still advertise their pods.
#   a route that is the pod CIDR, or lies in it    fails the stage
#   the endpoint's own address                     fails the stage
#   a wider route, an exit node's among them       is fine: the cluster's own routes are more specific, and win
#   a route of a device that is known to be offline, or whose login has ended    is fine: most often it is a former machine of this
#                                                  cluster, and the tailnet prefers a device that is online
#
# The checks ask it too, of a cluster that is there (checks/route-holders.sh).
#
# loadBalancer.cidr may be set at any time: the stage finalize asks for it before there is a pool (load-balancer-pool.sh).
#
# Given: TK_NODE_NETWORK, TK_ENDPOINT, TK_POD_CIDR, TK_RESTORE; in finalize, TK_LOAD_BALANCER instead of the last two.

# tailnet_status: this host's view of the tailnet, all devices included. No answer until tailscaled has one.
tailnet_status() {
    local status
    status=$(timeout 10 tailscale status --json) || return
    grep -qE '^ *"BackendState": "Running",?$' <<<"$status" || {
        echo "tailscaled is not connected" >&2
        return 1
    }
    printf '%s\n' "$status"
}

# first_three: of the lines on stdin, in one.
first_three() { awk 'NR <= 3' | paste -sd ';' | sed 's/;/; /g'; }

# other_routes: of a status on stdin, a line "NAME ADDRESS ROUTE" for each IPv4 route that the tailnet sends to another device, if that device
# is not known to be offline and its login has not ended; NAME is - where there is none. `tailscale` prints a member a line, and no text
# that others choose can hold a line break; of a device only its name in the tailnet, its addresses and its routes are read.
other_routes() {
    awk '
        function text(line) { sub(/^[^:]*: "/, "", line); sub(/",?$/, "", line); return line }
        function report(    i) { for (i = 1; i <= count; i++) print (name == "" ? "-" : name), address, routes[i] }
        /^  "Peer": \{$/ { inside = 1; next }
        /^  \}/ { inside = 0 }
        !inside { next }
        /^    "[^"]*": \{$/ { name = address = list = seen = ""; count = away = ended = 0; next }
        /^    \}/ { if (!ended && !(away && seen)) report(); next }
        /^      "(TailscaleIPs|AllowedIPs)": \[$/ { list = $1; next }
        /^      \]/ { list = ""; next }
        list ~ /TailscaleIPs/ && address == "" { address = $1; gsub(/[",]/, "", address); next }
        list ~ /AllowedIPs/ && /^ *"[0-9.]+\/[0-9]+",?$/ { count++; routes[count] = $1; gsub(/[",]/, "", routes[count]); next }
        /^      "DNSName": "/ { name = text($0); sub(/\..*/, "", name); gsub(/[^A-Za-z0-9-]/, "", name) }
        /^      "Online": false/ { away = 1 }
        # Only of a device that is known to be offline; else it is the year 1.
        /^      "LastSeen": "/ { seen = text($0) !~ /^0001-/ }
        /^      "Expired": true/ { ended = 1 }'
}

# For awk: whether a route lies in a network, both IPv4; none is empty. And the words for a device that has a route.
# shellcheck disable=SC2016  # awk's own
ROUTE_FUNCTIONS='
    # The number of the network of that length that an IPv4 address is in.
    function network(address, bits,    part) {
        split(address, part, ".")
        return int((((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4]) / 2 ^ (32 - bits))
    }
    function lies_in(route, cidr,    part, of) {
        split(route, part, "/")
        split(cidr, of, "/")
        return cidr != "" && part[2] + 0 >= of[2] + 0 && network(part[1], of[2] + 0) == network(of[1], of[2] + 0)
    }
    function holder() { return ($1 == "-" ? "one without a name" : $1) " (" $2 ") has " $3 }'

# overlapping_routes NODES: of a status on stdin, one line in words for each route of another device that overlaps ours; the nodes of the
# cluster, which NODES has the addresses of, are none.
overlapping_routes() {
    other_routes | awk -v pods="${TK_POD_CIDR:-}" -v endpoint="$TK_ENDPOINT" -v balancer="${TK_LOAD_BALANCER:-}" -v own=" ${1:-} " "$ROUTE_FUNCTIONS"'
        index(own, " " $2 " ") { next }
        $3 == endpoint "/32" { print holder() ", which is the endpoint of this stack"; next }
        lies_in($3, pods) { print holder() ", which is in network.podCidr " pods " of this stack"; next }
        lies_in($3, balancer) { print holder() ", which is in loadBalancer.cidr " balancer " of this stack" }'
}

# taken_routes PLANES NODES: of a status on stdin, one line in words for each route of this cluster that the tailnet sends to a device whose
# it is not. PLANES: the control planes' addresses; NODES: words "NAME|ADDRESS|POD CIDR". A route may be a part of a pod CIDR: it wins there.
taken_routes() {
    other_routes | awk -v endpoint="$TK_ENDPOINT" -v planes=" $1 " -v nodes="$2" "$ROUTE_FUNCTIONS"'
        BEGIN { count = split(nodes, node, " ") }
        $3 == endpoint "/32" && !index(planes, " " $2 " ") { print "the tailnet sends what is for the endpoint to a device that is no control plane: " holder() }
        {
            for (i = 1; i <= count; i++) {
                split(node[i], of, "|")
                if ($2 != of[2] && lies_in($3, of[3])) print of[1] ": the tailnet sends what is for its pods (" of[3] ") to another device: " holder()
            }
        }'
}

# check_route_overlap: before the first thing of a new cluster is made or advertised.
check_route_overlap() {
    local found more=''
    [ "$TK_NODE_NETWORK" = tailnet ] && [ -z "$TK_RESTORE" ] || return 0
    ask 30 "which routes other devices of the tailnet have (tailscale status)" tailnet_status
    found=$(overlapping_routes '' <<<"$ANSWER" | sort) || fail "cannot read which routes other devices of the tailnet have (tailscale status --json)"
    [ -n "$found" ] || return 0
    if [ "$(wc -l <<<"$found")" -gt 3 ]; then more="; and $(($(wc -l <<<"$found") - 3)) more"; fi
    found=$(first_three <<<"$found")
    fail "another device of the tailnet has a route to this cluster's networks: $found$more. Nothing was founded or advertised. Each cluster in a tailnet needs an endpoint.address and a network.podCidr that no other device advertises: set another tailkube:network.number, which makes both, or change tailkube:endpoint.address or tailkube:network.podCidr, or take the route from that device, and run again"
}
