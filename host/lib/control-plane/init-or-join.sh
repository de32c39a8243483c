# shellcheck shell=bash
# requires: lib/waiting
# Whether a control plane inits the cluster or joins it. A second cluster beside a living one would split it for good, so
# silence is never taken for absence. On a control plane.
#
# Only the host that the state names as the init node may init, or one that has a snapshot to restore. It asks every other declared
# control plane at its own address, and the endpoint, with the cluster's own authority, over and over for a minute:
#   an API server of this cluster answers anywhere     it joins
#   every declared control plane refuses connections   it inits. The endpoint may be silent: no host may have it yet
#   one is silent, or shows another certificate        fails, naming it
# One that does not know the others never inits: it joins the cluster that answers at the endpoint.
# A minute, because an API server that restarts refuses connections, too. Only authorities that were made on this host in this
# boot, and by which no cluster was made yet, are not asked for longer than until all have refused once.
#
# Given (beside kubeadm.sh's): TK_MARK, TK_FOUNDER (the membership ID of the init node), TK_RESTORE, TK_CA_CRT.

# The declared control planes, "NAME ADDRESS" lines, by the stage peers.
PEERS=$TK_STATE/peers
# The digest of an authority of which the stage make-authorities has just made the first copy.
NEW_AUTHORITIES=$TK_RUN/new-authorities
INIT_SECONDS=60

# api_at ADDRESS PORT: what answers there: `cluster` (an API server with a certificate of this cluster's authority, ready or not),
# `foreign` (another certificate), `refused` (the host answers that nothing listens) or `silent`.
api_at() {
    local status=0 said
    # Only its verbose output tells a refusal from a route that is missing.
    said=$(curl -sv -o /dev/null --cacert /etc/kubernetes/pki/ca.crt --max-time 5 --noproxy '*' "https://$1:$2/readyz" 2>&1) || status=$?
    case $status in
    0) echo cluster ;;
    # The peer's certificate did not verify.
    51 | 60) echo foreign ;;
    7) case $said in *'Connection refused'*) echo refused ;; *) echo silent ;; esac ;;
    *) echo silent ;;
    esac
}

authority_digest() { sha256sum <<<"$TK_CA_CRT" | awk '{print $1}'; }
are_new_authorities() { [ -s "$NEW_AUTHORITIES" ] && [ "$(cat "$NEW_AUTHORITIES")" = "$(authority_digest)" ]; }
forget_new_authorities() { rm -f "$NEW_AUTHORITIES"; }

# endpoint_answers: a foreign one, too: the join says so.
endpoint_answers() { case $(api_at "$TK_ENDPOINT" "$TK_ENDPOINT_PORT") in cluster | foreign) ;; *) return 1 ;; esac }

# ask_peers: one round. In FOUND, where an API server of the cluster answers, or another one at the endpoint; in UNCLEAR, what
# gave no clear answer.
ask_peers() {
    local name address
    FOUND='' UNCLEAR=''
    if endpoint_answers; then FOUND="the endpoint"; fi
    while read -r name address; do
        [ -z "$FOUND" ] || return 0
        [ "$name" != "$TK_NODE" ] || continue
        case $(api_at "$address" "$TK_API_PORT" </dev/null) in
        cluster) FOUND=$name ;;
        refused) ;;
        foreign) UNCLEAR+="$name at $address:$TK_API_PORT shows the certificate of another authority; " ;;
        *) UNCLEAR+="$name at $address:$TK_API_PORT neither answers nor refuses; " ;;
        esac
    done <"$PEERS"
}

# decide_init: INITS is 1 if this host is to init the cluster, 0 if it is to join it.
decide_init() {
    local end=$((SECONDS + INIT_SECONDS))
    INITS=0
    [ "$TK_MARK" = "$TK_FOUNDER" ] || [ -n "$TK_RESTORE" ] || return 0
    # The former init node, which was removed and is not the first of the list any more: the stage peers runs there alone.
    if [ ! -s "$PEERS" ]; then
        poll "$INIT_SECONDS" endpoint_answers ||
            fail "no API server answers at the endpoint, and this host, which created the cluster, does not know the declared control planes, so it did not create another one (asked for $INIT_SECONDS s). If the cluster is there, repair the endpoint; if it is lost, make this host the first control plane in nodes. Then run again"
        return 0
    fi
    while :; do
        ask_peers
        [ -z "$FOUND" ] || return 0
        if [ -z "$UNCLEAR" ] && [ -z "$TK_RESTORE" ] && are_new_authorities; then break; fi
        if [ "$SECONDS" -ge "$end" ]; then break; fi
        sleep 1
    done
    [ -z "$UNCLEAR" ] || fail "a control plane of this cluster may still be running, so no new cluster was created: ${UNCLEAR%; } (asked for $INIT_SECONDS s). Every declared control plane must accept or refuse connections from this host. Look at its firewall, its network and the tailnet's policy, and run again"
    # shellcheck disable=SC2034  # control-plane.sh reads it
    INITS=1
}
