#!/bin/bash
# Keeps what this host advertises to the tailnet: one file per route of ours in /etc/tailkube/routes.d, beside whatever
# the user advertises on the same host, which stays untouched.
#   routes set NAME CIDR    advertise CIDR for the purpose NAME
#   routes unset NAME       stop advertising it
#   routes watch            what tailkube-routes.service runs: bring back what another `tailscale set` has dropped
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
declared=/etc/tailkube/routes.d
# Names of those that are withdrawn although their file cannot be removed: a disk that has become read-only makes an API server
# fail, and its endpoint must be able to leave.
withdrawn=/run/tailkube-routes.withdrawn
# What we advertised last: the difference to tailscale's own list is the user's.
record=/var/lib/tailkube/advertised
# Where the stage tailnet masquerades in place of tailscaled.
masquerade=/etc/tailkube/masquerade.nft
# Seconds from one look to the next.
interval=5

# read_advertised: sets `advertised`, sorted. Fails if tailscaled does not say what it advertises, which is not the same as
# nothing.
read_advertised() {
    local prefs
    prefs=$(timeout 10 tailscale debug prefs) || return
    prefs=$(tr -d ' \n\t' <<<"$prefs")
    [[ $prefs =~ \"AdvertiseRoutes\":(null|\[([^]]*)\]) ]] || {
        echo "tailscale debug prefs names no AdvertiseRoutes" >&2
        return 1
    }
    advertised=$(tr -d '"' <<<"${BASH_REMATCH[2]}" | tr ',' '\n' | sed '/^$/d' | sort -u)
}

# ours: what is declared. Files whose names begin with a dot are still being written.
ours() {
    local names name route routes=''
    names=$(find "$declared" -type f ! -name '.*' -printf '%f\n') || return
    while IFS= read -r name; do
        if [ -z "$name" ] || [ -e "$withdrawn/$name" ]; then continue; fi
        route=$(cat -- "$declared/$name") || return
        routes+=$route$'\n'
    done <<<"$names"
    sed '/^$/d' <<<"$routes" | sort -u
}

# write_file PATH TEXT: whole or not at all, and on the disk: after a power cut it must not be empty, which would mean "none".
write_file() {
    local new
    new=$(dirname "$1")/.$(basename "$1")
    printf '%s\n' "$2" >"$new" && sync -- "$new" && mv -f -- "$new" "$1" && sync -- "$(dirname "$1")"
}

# recorded: what we advertised last, or more than that.
recorded() { [ ! -e "$record" ] || sort -u "$record"; }

# remember ROUTES: as advertised by us. Nothing is written where that is known.
remember() {
    local routes
    routes=$(sed '/^$/d' <<<"$1" | sort -u)
    if [ "$(cat "$record" 2>/dev/null || echo none)" != "$routes" ]; then write_file "$record" "$routes"; fi
}

# advertise: ours and the user's, which are those that we have not advertised ourselves. Its callers may stand behind an `if`,
# where the shell does not stop at an error by itself.
advertise() {
    local advertised='' now before users wanted
    read_advertised && now=$(ours) && before=$(recorded) || return
    users=$(comm -23 <(printf '%s\n' "$advertised") <(printf '%s\n' "$before"))
    wanted=$(printf '%s\n%s\n' "$now" "$users" | sed '/^$/d' | sort -u)
    # Before tailscale takes the list, what was ours and what is: should that fail or be killed, the next call takes neither for
    # the user's. A withdrawal writes nothing to the disk, which may be what is ill.
    remember "$before"$'\n'"$now" || return
    [ "$wanted" = "$advertised" ] || timeout 30 tailscale set --advertise-routes="$(paste -sd, - <<<"$wanted")"
}

# is_kept: whether all of ours are advertised, and nothing that was ours and is not any more; 2 if that is unknown. Reads
# without the lock, so that no look makes the endpoint wait.
is_kept() {
    local advertised='' now before
    { read_advertised && now=$(ours) && before=$(recorded); } 2>/dev/null || return 2
    [ -z "$(comm -23 <(sed '/^$/d' <<<"$now") <(printf '%s\n' "$advertised"))" ] &&
        [ -z "$(comm -12 <(comm -23 <(sed '/^$/d' <<<"$before") <(printf '%s\n' "$now")) <(printf '%s\n' "$advertised"))" ]
}

locked() { (exec 8>/run/tailkube-routes.lock && flock -w 20 8 && "$@"); }

# What a withdrawal has left in the record.
trim() {
    local now
    advertise && now=$(ours) && remember "$now"
}

watch() {
    local last='' said status
    while true; do
        said='' status=0
        [ ! -d "$declared" ] || is_kept || status=$?
        case $status in
        0) if [ -d "$declared" ] && [ "$(recorded)" != "$(ours)" ]; then locked trim || said="cannot write $record, trying on"; fi ;;
        1) if locked advertise; then said="advertised again: $(ours | paste -sd ' ')"; else said="tailscaled does not take the routes, trying on"; fi ;;
        *) said="tailscaled does not say what it advertises, trying on" ;;
        esac
        if [ -e "$masquerade" ] && ! nft list table inet tailkube_masquerade >/dev/null 2>&1; then
            nft -f "$masquerade" || said="$said nft refuses $masquerade, trying on"
        fi
        # Once, not with each look.
        if [ -n "$said" ] && [ "$said" != "$last" ]; then echo "routes: $said"; fi
        last=$said
        sleep "$interval"
    done
}

case ${1:-} in
set | unset) ;;
watch) watch ;;
*)
    echo "usage: routes set NAME CIDR | unset NAME | watch" >&2
    exit 2
    ;;
esac
exec 8>/run/tailkube-routes.lock
flock -w 60 8
mkdir -p "$declared"
case $1 in
set)
    if [ "$(cat "$declared/$2" 2>/dev/null || true)" != "$3" ]; then write_file "$declared/$2" "$3"; fi
    rm -f -- "$withdrawn/$2"
    trim
    ;;
unset)
    mkdir -p "$withdrawn"
    : >"$withdrawn/$2"
    if rm -f -- "$declared/$2"; then rm -f -- "$withdrawn/$2"; fi
    advertise
    ;;
esac
