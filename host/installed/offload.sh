#!/bin/bash
# Checksum offload of the interface that has the node's address, for networks on which a NIC's checksums of tunnelled packets
# come out wrong and the packets are dropped. tailkube-offload.service keeps it off over reboots.
#   offload off   the kernel works the checksums out, of what is sent and of what is received
#   offload on    what was on before `off` is on again
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/node.env
# What was on when the host was started: gone with a reboot, as the setting itself.
before=/run/tailkube-offload

# By the address, for another boot may have other names.
interface=$(ip -o -4 address show to "$TAILKUBE_ADDRESS/32" | awk 'NR == 1 {print $2}')
[ -n "$interface" ] || {
    echo "offload: no interface has $TAILKUBE_ADDRESS" >&2
    exit 1
}

# checksumming rx|tx: on or off.
checksumming() { ethtool -k "$interface" | awk -v key="$1-checksumming:" '$1 == key {print $2}'; }

case ${1:-} in
off)
    [ -e "$before" ] || for way in rx tx; do [ "$(checksumming "$way")" != on ] || echo "$way"; done >"$before"
    for way in rx tx; do
        [ "$(checksumming "$way")" != on ] || ethtool -K "$interface" "$way" off || true
    done
    # Some NICs always look at what they receive; it is what they send that is broken.
    [ "$(checksumming rx)" != on ] || echo "offload: $interface cannot turn rx checksums off; tx counts"
    [ "$(checksumming tx)" != on ] || {
        echo "offload: $interface cannot turn tx checksums off" >&2
        exit 1
    }
    ;;
on)
    [ -e "$before" ] || exit 0
    while read -r way; do
        [ "$(checksumming "$way")" = on ] || ethtool -K "$interface" "$way" on
    done <"$before"
    rm -f "$before"
    ;;
*)
    echo "usage: offload off|on" >&2
    exit 2
    ;;
esac
