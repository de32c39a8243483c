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

advertised=$(timeout 10 tailscale debug prefs | tr -d ' \n\t' | sed -n 's/.*"AdvertiseRoutes":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' '\n' | sort -u)
ours=$(find "$declared" -type f -exec cat {} + | sort -u)
before=$(sort -u "$record" 2>/dev/null || true)
users=$(comm -23 <(printf '%s\n' "$advertised") <(printf '%s\n' "$before"))
wanted=$(printf '%s\n%s\n' "$ours" "$users" | sed '/^$/d' | sort -u)
remember() {
    printf '%s\n' "$@" | sed '/^$/d' | sort -u >"$record.new"
    mv -f "$record.new" "$record"
}
# Until tailscale has taken the list, what was ours and what is: should that fail or be killed, the next call takes
# neither for the user's.
remember "$before" "$ours"
[ "$wanted" = "$advertised" ] || timeout 30 tailscale set --advertise-routes="$(paste -sd, - <<<"$wanted")"
remember "$ours"
