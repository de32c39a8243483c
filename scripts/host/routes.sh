#!/bin/bash
# Keeps what this host advertises to the tailnet: one file per route of ours in /etc/tailkube/routes.d, beside whatever
# the user advertises on the same host, which stays untouched.
#   routes set NAME CIDR    advertise CIDR for the purpose NAME
#   routes unset NAME       stop advertising it
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
declared=/etc/tailkube/routes.d
# What we advertised last: the difference to tailscale's own list is the user's.
record=/var/lib/tailkube/advertised

exec 8>/run/tailkube-routes.lock
flock -w 60 8
mkdir -p "$declared"
case ${1:-} in
set) printf '%s\n' "$3" >"$declared/$2" ;;
unset) rm -f -- "$declared/$2" ;;
*) echo "usage: routes set NAME CIDR | unset NAME" >&2; exit 2 ;;
esac

advertised=$(tailscale debug prefs | tr -d ' \n\t' | sed -n 's/.*"AdvertiseRoutes":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' '\n' | sort -u)
ours=$(cat "$declared"/* 2>/dev/null | sort -u)
users=$(comm -23 <(printf '%s\n' "$advertised") <(sort -u "$record" 2>/dev/null))
wanted=$(printf '%s\n%s\n' "$ours" "$users" | sed '/^$/d' | sort -u)
# The record first: a kill between the two leaves a route too many in it, which the next call advertises or withdraws.
printf '%s\n' "$ours" >"$record.new"
mv -f "$record.new" "$record"
[ "$wanted" = "$advertised" ] || timeout 30 tailscale set --advertise-routes="$(paste -sd, - <<<"$wanted")"
