# shellcheck shell=bash
# What the endpoint's watches ask API servers: installed/endpoint-watch.sh and installed/vip-watch.sh, before which it stands as one
# file. Asked without credentials: /readyz is open to anybody.
# Given by them: TAILKUBE_ENDPOINT_PORT, answer_within (seconds for an answer of /readyz), and api_servers_from (kubectl's option
# --server, or nothing).
# shellcheck disable=SC2034,SC2154  # the watches read renewal

# Addresses of all API servers that the cluster has named since the boot, one a line; asked for every $renewal seconds. One that
# is down at the moment is not in the cluster's list, but may be the one to take over later.
servers=/run/tailkube/api-servers
renewal=30

# look_at ADDRESS: sets `found` to ok; "not ready", an answer that says so; gone, nothing that takes a connection; or slow, no answer
# in time, or none that could be read.
look_at() {
    local body status=0
    body=$(curl -sk --max-time "$answer_within" --noproxy '*' "https://$1:$TAILKUBE_ENDPOINT_PORT/readyz") || status=$?
    case $status:$body in
    0:ok) found=ok ;;
    0:*) found="not ready" ;;
    # curl's code for a connection that is refused.
    7:*) found=gone ;;
    *) found=slow ;;
    esac
}

server_ready() { look_at "$1" && [ "$found" = ok ]; }

# other_servers: prints the addresses of the others, as far as they are known; 2 if none of all is.
other_servers() {
    local address
    [ -s "$servers" ] || return 2
    while IFS= read -r address; do
        if ip -o -4 address show to "$address/32" | grep -q .; then continue; fi
        printf '%s\n' "$address"
    done <"$servers"
}

# another_answers: whether any other control plane is ready, and says so in time. 2 if the others are not known.
another_answers() {
    local address others urls=()
    others=$(other_servers) || return 2
    for address in $others; do urls+=("https://$address:$TAILKUBE_ENDPOINT_PORT/readyz"); done
    # Of several answers at the same time one "ok" is enough; -f leaves out all that is no success. With -Z curl draws a meter, -s or not.
    [ "${#urls[@]}" -gt 0 ] && [[ $(curl -skfZ --max-time "$answer_within" --noproxy '*' "${urls[@]}" 2>/dev/null || true) = *ok* ]]
}

# better_elsewhere: whether the endpoint is better off without this host. Never where this host's API server may be the last
# that answers, however slowly.
better_elsewhere() {
    local answer=0
    [ "$found" != gone ] || return 0
    another_answers || answer=$?
    # An API server that calls itself not ready is believed where there may be others.
    [ "$answer" = 0 ] || { [ "$answer" = 2 ] && [ "$found" = "not ready" ]; }
}

# renew_servers: beside the watch, for it may take long. The object is the API servers' own list of themselves.
renew_servers() {
    local list
    list=$(timeout 10 kubectl --kubeconfig /etc/kubernetes/admin.conf ${api_servers_from:+"$api_servers_from"} get --raw \
        /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes 2>/dev/null) || return 0
    list=$(grep -oE '"addresses":\["[0-9.]+"\]' <<<"$list" | grep -oE '[0-9]+(\.[0-9]+){3}') || return 0
    mkdir -p "$(dirname "$servers")"
    {
        cat "$servers" 2>/dev/null || true
        printf '%s\n' "$list"
    } | sort -u >"$servers.new"
    mv -f "$servers.new" "$servers"
}
