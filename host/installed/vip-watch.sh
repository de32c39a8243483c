#!/bin/bash
# Installed as /usr/local/lib/tailkube/endpoint, in a lan with endpoint.kind vip.
# Keeps the endpoint's address on one control plane whose API server is ready. `endpoint watch`, which tailkube-endpoint.service runs,
# follows the local API server as the watch of a tailnet does. Of the control planes that could have the address, one gets it by a
# lease (lib/control-plane/endpoint-lease.sh), and says so to the network with ARP. A host without a ready API server, or one that is
# cut off from etcd's majority, gives the address up.
#   endpoint watch    follow the API server until the service is stopped, then hand the address over
#   endpoint down     take the address from this host
# Why not keepalived or kube-vip: VRRP asks no majority, so a partition has two masters. kube-vip has a lease, too, but addresses can
# stay behind when it loses that (kube-vip/kube-vip#996, #1775). Here the kernel itself takes the address away.
# On the host lib/network/route-watch.sh, lib/control-plane/api-servers.sh and endpoint-lease.sh stand before it, as one file.
# shellcheck disable=SC2034,SC2154  # they read watched, withdrawn, last, answer_within, api_servers_from and lease_self, and set the rest
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/endpoint.env

watched=endpoint
# Seconds from one look to the next.
interval=0.5
# While renewals fail: an election of etcd's may end at any moment, and the lease soon after.
interval_failed=0.1
# Looks in a row that must fail before the endpoint goes: a single slow answer is no failure.
patience=2
answer_within=1
api_servers_from=--server=https://$TAILKUBE_ADDRESS:$TAILKUBE_ENDPOINT_PORT
# Milliseconds from one renewal to the next.
renew_every=1000
# After so many milliseconds, a lease that no better control plane has taken goes to one that is slow or has just failed.
unwanted_for=3000
# The address is announced at once, a second and two seconds later, and then each ten, for a neighbour that missed it. In milliseconds.
announce_every=10000
# This host's while it runs its first `kubeadm init`, which talks to the endpoint: the stage has asked all other control planes whether
# the cluster exists. It goes with a reboot, and with the first lease.
founding=/run/tailkube/founding
# The API's own certificate and key of this control plane's administrator, each in a file for curl.
credentials=/run/tailkube/endpoint-client
leases=/apis/coordination.k8s.io/v1/namespaces/kube-system/leases
lease_name=tailkube-endpoint

# now: sets `now` to this host's clock, in milliseconds. It runs on while the host sleeps, and no time server sets it.
now() {
    local uptime
    read -r uptime _ </proc/uptime
    now=$((10#${uptime/./} * 10))
}

# set_self: the name in the lease is one of this boot: a machine that takes a node's name over is not taken for the former one.
set_self() {
    local file=/run/tailkube/endpoint-holder
    mkdir -p /run/tailkube
    if [ ! -s "$file" ]; then
        printf '%s_%s\n' "$TAILKUBE_NODE" "$(</proc/sys/kernel/random/uuid)" >"$file.new"
        mv -f "$file.new" "$file"
    fi
    lease_self=$(<"$file")
}

# device: sets `device` to the interface with the node's address; 1 if none has it.
find_device() {
    local line
    line=$(ip -o -4 address show to "$TAILKUBE_ADDRESS/32" 2>/dev/null) || return
    read -r _ device _ <<<"$line"
    [ -n "${device:-}" ]
}

present() { ip -o -4 address show to "$TAILKUBE_ENDPOINT/32" 2>/dev/null | grep -q .; }

# remove_address: from whichever interface has it. Connections from this host to itself by the address would hang for a minute.
remove_address() {
    local line at
    while line=$(ip -o -4 address show to "$TAILKUBE_ENDPOINT/32" 2>/dev/null) && [ -n "$line" ]; do
        read -r _ at _ <<<"$line"
        ip address del "$TAILKUBE_ENDPOINT/32" dev "$at" 2>/dev/null || sleep 0.1
    done
    timeout 0.5 ss -K -t src "$TAILKUBE_ENDPOINT" >/dev/null 2>&1 || true
}

# set_address SECONDS: the address, for that long. Not as one that this host sends from: it stands behind the node's own address, and
# is deprecated.
set_address() {
    find_device || return
    ip address replace "$TAILKUBE_ENDPOINT/32" dev "$device" valid_lft "$1" preferred_lft 0
}

# keep_behind: a network manager that sets the node's address again puts it behind the endpoint's.
keep_behind() {
    local first
    first=$(ip -o -4 address show dev "$device" 2>/dev/null | awk -v own="$TAILKUBE_ADDRESS" -v endpoint="$TAILKUBE_ENDPOINT" \
        '{sub("/.*", "", $4)} ($4 == own || $4 == endpoint) && !found++ {print $4}') || return 0
    if [ "$first" != "$TAILKUBE_ENDPOINT" ]; then return 0; fi
    ip address del "$TAILKUBE_ENDPOINT/32" dev "$device" 2>/dev/null || true
    now
    if lease_lifetime "$now"; then set_address "$lease_seconds" || true; fi
}

# arp_frame OPERATION: an ARP packet to all, which says that the address is at this interface: 1 is a question, 2 an answer; there are
# neighbours that take only one of them.
arp_frame() {
    local mac ip part
    mac=$(<"/sys/class/net/$device/address")
    mac=\\x${mac//:/\\x}
    ip=
    for part in ${TAILKUBE_ENDPOINT//./ }; do printf -v ip '%s\\x%02x' "$ip" "$part"; done
    # To all; from this interface; ARP for IPv4 over Ethernet; sender; target; filled up to the least length of a frame.
    # shellcheck disable=SC2059
    printf "\\xff\\xff\\xff\\xff\\xff\\xff$mac\\x08\\x06\\x00\\x01\\x08\\x00\\x06\\x04\\x00\\x0$1$mac$ip\\xff\\xff\\xff\\xff\\xff\\xff$ip$(printf '\\x00%.0s' {1..18})"
}

# announce: kubeadm needs socat on each node, and it can send such a packet as it is.
announce() {
    local operation
    for operation in 1 2; do
        arp_frame "$operation" | timeout 2 socat -u STDIN "INTERFACE:$device" 2>/dev/null || say "announcing: socat cannot send ARP on $device, trying on"
    done
}

# announce_in_time: what is due of it.
announce_in_time() {
    now
    if [ "$now" -lt "$announce_at" ]; then return 0; fi
    keep_behind
    present || return 0
    announce
    announced=$((announced + 1))
    announce_at=$((now + (announced < 3 ? 1000 : announce_every)))
}

# refresh_credentials: from kubeconfig admin.conf, also after a renewal of its certificate.
refresh_credentials() {
    local admin=/etc/kubernetes/admin.conf key
    if [ -s "$credentials.key" ] && [ ! "$admin" -nt "$credentials.key" ]; then return 0; fi
    [ -s "$admin" ] || return
    (
        umask 077
        for key in certificate key; do
            sed -n "s/^ *client-$key-data: *//p" "$admin" | head -n 1 | base64 -d >"$credentials.$key.new" && [ -s "$credentials.$key.new" ] || exit 1
        done
        mv -f "$credentials.certificate.new" "$credentials.certificate"
        mv -f "$credentials.key.new" "$credentials.key"
    )
}

# request SERVER METHOD PATH [BODY]: sets `code` (of HTTP; 0 without an answer) and `answer`.
request() {
    local text
    code=0 answer=
    refresh_credentials || return 0
    text=$(curl -sS --max-time 1 --noproxy '*' -A tailkube --cacert /etc/kubernetes/pki/ca.crt --cert "$credentials.certificate" \
        --key "$credentials.key" -X "$2" -H 'Content-Type: application/json' ${4:+--data-binary @-} -w '\n%{http_code}' \
        "https://$1:$TAILKUBE_ENDPOINT_PORT$3" <<<"${4:-}" 2>/dev/null) || return 0
    code=${text##*$'\n'} answer=${text%$'\n'*}
}

# read_answer: what a Lease says, in `version`, `holder`, `uid` and `transitions`; 1 if it is none.
read_answer() {
    [[ $answer =~ \"resourceVersion\":\ ?\"([0-9]+)\" ]] || return
    version=${BASH_REMATCH[1]} holder='' transitions=0
    [[ $answer =~ \"uid\":\ ?\"([^\"]+)\" ]] || return
    uid=${BASH_REMATCH[1]}
    if [[ $answer =~ \"holderIdentity\":\ ?\"([^\"]*)\" ]]; then holder=${BASH_REMATCH[1]}; fi
    if [[ $answer =~ \"leaseTransitions\":\ ?([0-9]+) ]]; then transitions=${BASH_REMATCH[1]}; fi
}

# lease_body HOLDER VERSION: as JSON. The time is for people, and makes each renewal another version: the API does not store again what
# is the same. Without the UID, a write would make a Lease that has been deleted, whatever its version.
lease_body() {
    local time
    printf -v time '%(%Y-%m-%dT%H:%M:%S)T.%sZ' -1 "${EPOCHREALTIME#*.}"
    printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"%s","namespace":"kube-system","labels":{"app.kubernetes.io/managed-by":"tailkube"}%s},"spec":{"holderIdentity":"%s","leaseDurationSeconds":%d,"renewTime":"%s","leaseTransitions":%d}}' \
        "$lease_name" "${2:+,\"uid\":\"$uid\",\"resourceVersion\":\"$2\"}" "$1" $((lease_duration / 1000)) "$time" "$transitions"
}

# read_lease SERVER: what it says now. Where there is none, one is made without a holder, which has to run out: its former
# holder may have had the address a moment ago.
read_lease() {
    request "$1" GET "$leases/$lease_name"
    if [ "$code" = 404 ]; then
        transitions=0
        request "$1" POST "$leases" "$(lease_body - '')"
    fi
    [[ $code =~ ^20[01]$ ]] && read_answer || return
    now
    lease_observe "$now" "$version" "$holder"
}

# write_lease SERVER HOLDER: whether it is written now, in place of the version that was read. A version that is the same was not stored.
write_lease() {
    request "$1" PUT "$leases/$lease_name" "$(lease_body "$2" "$lease_version")"
    [ "$code" = 200 ] && read_answer && [ "$version" != "$lease_version" ]
}

# renew: whether the lease is this host's for longer now, and with it the address.
renew() {
    local sent
    now
    sent=$now
    write_lease "$TAILKUBE_ADDRESS" "$lease_self" || return
    now
    lease_renewed "$sent" "$now" "$version"
    lease_lifetime "$now" && set_address "$lease_seconds" || return
    # A host that stood still in between has set it for too long.
    now
    if ! lease_lifetime "$now"; then
        down
        return 1
    fi
}

# take WHY: a lease that is free, and the address. Another control plane may be faster.
take() {
    if [ "$lease_holder" != "$lease_self" ]; then transitions=$((transitions + 1)); fi
    if renew; then
        enter up "$1"
        return
    fi
    if [ "$code" = 409 ]; then return 0; fi
    say "up: $1; but it could not be done, trying on"
    down
    # Written, but the address could not be set.
    if [ "$code" = 200 ]; then release; fi
}

# up: what follows when this host has both.
up() {
    rm -f "$founding"
    announced=0 announce_at=0
    announce_in_time
}

down() {
    remove_address
    lease_given_up
}

# release: tells the others that the address is free. Only when it is no longer here. By another API server where this host's is gone.
release() {
    local server own=$TAILKUBE_ADDRESS
    if present || [ -z "$lease_version" ]; then return 0; fi
    if [ "$found" != ok ]; then own=; fi
    for server in $own $(other_servers || true); do
        if write_lease "$server" ''; then return 0; fi
        # Another version: a renewal whose answer was lost, or another holder.
        if [ "$code" != 409 ]; then continue; fi
        read_lease "$server" || continue
        if [ "$lease_holder" != "$lease_self" ] || write_lease "$server" ''; then return 0; fi
    done
}

# give_up WHY: the address goes, and the lease is free at once.
give_up() {
    enter down "$1"
    release
}

# stop: the service's end. Two signals must not make two of it.
stop() {
    trap '' TERM INT
    echo "$watched down: stopped"
    down
    if [ "$state" = up ]; then release; fi
    exit
}

look_here() { if [ -e /var/lib/tailkube/joined ] || [ ! -e "$founding" ]; then look_at 127.0.0.1; else found=ok; fi; }

# found_here: the address without a lease, until this host's API server can keep one or another control plane is seen to hold it.
found_here() {
    local former=$lease_version
    if read_lease "$TAILKUBE_ADDRESS"; then
        if lease_is_free "$now"; then
            take "the API server is ready"
            if [ "$state" = up ]; then return 0; fi
        fi
        case $lease_holder in "$lease_self" | - | '') former= ;; esac
        if [ -n "$former" ] && [ "$former" != "$lease_version" ]; then
            rm -f "$founding"
            enter down "another control plane holds the lease: $lease_holder"
            return 0
        fi
    fi
    present || say "up: for kubeadm init"
    set_address 5 || say "up: no interface has $TAILKUBE_ADDRESS, trying on"
    announce_in_time
}

# follow_lease: of a host without the address.
follow_lease() {
    read_lease "$TAILKUBE_ADDRESS" || return 0
    if ! lease_is_free "$now"; then return 0; fi
    if [ "$found" = ok ] && [ "$good" -ge "$(calm)" ]; then
        take "the API server is ready"
    elif [ "$lease_free" -ge "$unwanted_for" ] && [ "$found" != gone ]; then
        take "the API server is $found, but no other control plane takes the lease"
    fi
}

# keep_lease: of the holder.
keep_lease() {
    now
    if ! lease_is_held "$now"; then
        give_up "the lease could not be renewed in time"
        return
    fi
    if [ "$bad" -ge "$patience" ]; then
        if better_elsewhere; then
            give_up "the API server is $found"
            return
        fi
        say "kept: the API server is $found, but no other is known to answer"
    fi
    if [ $((now - lease_sent)) -ge "$renew_every" ] && ! renew; then
        rest=$interval_failed
        if [ "$code" = 409 ] && read_lease "$TAILKUBE_ADDRESS" && [ "$lease_holder" != "$lease_self" ]; then
            enter down "another control plane holds the lease: ${lease_holder:-none}"
        elif [ "$code" = 200 ] && ! present; then
            give_up "the address cannot be set on the interface with $TAILKUBE_ADDRESS"
        fi
        return 0
    fi
    announce_in_time
}

watch() {
    good=0 bad=0 code=0 uid='' transitions=0 announced=0 announce_at=0
    state=unknown withdrawn=() last='' found=gone renewed=-$renewal
    set_self
    trap stop TERM INT
    while true; do
        rest=$interval
        look_here
        if [ "$found" = ok ]; then good=$((good + 1)) bad=0; else bad=$((bad + 1)) good=0; fi
        if [ "$good" -gt 0 ] && [ -e /var/lib/tailkube/joined ] && [ $((SECONDS - renewed)) -ge "$renewal" ]; then
            renewed=$SECONDS
            renew_servers &
        fi
        if [ "$state" = up ]; then
            keep_lease
        elif [ -e "$founding" ]; then
            found_here
        else
            # What a former watch has left here, which may have been killed.
            if [ "$state" = unknown ]; then enter down "the lease is not this control plane's yet"; fi
            follow_lease
        fi
        sleep "$rest"
    done
}

case ${1:-} in
watch | down) "$1" ;;
*)
    echo "usage: endpoint watch|down" >&2
    exit 2
    ;;
esac
