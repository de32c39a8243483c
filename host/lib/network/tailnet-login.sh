# shellcheck shell=bash
# requires: lib/software/packages lib/units
# Login to the tailnet: with our auth key, or using a login that was there; the preferences of both; logout.
# Given: TK_AUTH_KEY (secret), TK_LOGIN_SERVER, TK_TAGS (that the device must have, with blanks between), TK_POD_CIDR, TK_POD_ROUTING.

# member INDENT NAME: of JSON on stdin as tailscale prints it, a member a line, the value of the one that stands behind that
# indentation: a text without its quotes, the items of a list one a line, nothing for null or for a member that is not there.
member() {
    # To the end, for what writes into a pipe fails when its reader goes.
    awk -v start="$1\"$2\": " '
        inside && /^[ \t]*\],?$/ { inside = 0 }
        inside { sub(/^[ \t]*"?/, ""); sub(/"?,?$/, ""); print; next }
        index($0, start) == 1 && !found {
            found = 1
            value = substr($0, length(start) + 1)
            sub(/,$/, "", value)
            if (value == "[") { inside = 1; next }
            gsub(/^"|"$/, "", value)
            if (value != "null" && value != "[]") print value
        }'
}

# ask_prefs, ask_status: what tailscaled says of its preferences and of this device; sets PREFS, or STATUS.
ask_prefs() {
    ask 30 "which preferences does tailscaled have (tailscale debug prefs)" timeout 10 tailscale debug prefs
    PREFS=$ANSWER
}
ask_status() {
    ask 30 "what is this host's state in the tailnet (tailscale status)" timeout 10 tailscale status --json --peers=false
    STATUS=$ANSWER
}
pref() { member $'\t' "$1" <<<"$PREFS"; }
# self NAME: of this device. Other objects of the status have members of the same indentation.
self() { sed -n '/^  "Self": {/,/^  }/p' <<<"$STATUS" | member '    ' "$1"; }

backend_state() { timeout 10 tailscale status --json --peers=false 2>/dev/null | member '  ' BackendState; }
logged_out() { [ "$(backend_state)" = NeedsLogin ]; }
backend_settled() { case $(backend_state) in Running | NeedsLogin | Stopped | NeedsMachineAuth) true ;; *) false ;; esac }

# device_problem: the first thing of this login with which a node of a cluster does not work, and its cure; nothing if there is
# none. Of PREFS and STATUS.
device_problem() {
    local tag exit
    for tag in $TK_TAGS; do
        self Tags | grep -xF -- "$tag" >/dev/null && continue
        echo "this host's device has $(self Tags | paste -sd ' ' | sed 's/^$/no tag/'), not $tag. Give it that tag in the tailnet's console (headscale nodes tag), or run 'tailscale logout' on this host and use an auth key that has the tag"
        return
    done
    if [ -n "$(self KeyExpiry)" ]; then
        echo "this host's login ends at $(self KeyExpiry), and the node with it. Disable key expiry for its device in the tailnet's console (headscale nodes expire --disable)"
        return
    fi
    exit=$(pref ExitNodeID)$(pref ExitNodeIP)$(pref AutoExitNode)
    if [ -n "$exit" ]; then
        echo "this host sends its traffic through the exit node $exit, where other nodes do not find it. Run 'tailscale set --exit-node=' on it"
    elif [ "$(pref ShieldsUp)" = true ]; then
        echo "this host lets no connection in from the tailnet. Run 'tailscale set --shields-up=false' on it"
    elif [ "$(pref NetfilterMode)" != 2 ]; then
        echo "tailscaled leaves this host's packet filter alone (netfilter mode $(pref NetfilterMode)), so that pods have no way through it. Run 'tailscale set --netfilter-mode=on' on it"
    fi
}

# In a shell of its own, for `poll` hides what a question without an answer says. It is asked again after it.
device_is_sound() { (ask_prefs && ask_status && [ -z "$(device_problem)" ]); }

# approved_routes: the routes that the tailnet has approved for this device, but ours, with blanks between. Of STATUS.
approved_routes() {
    self AllowedIPs | { grep -vxF -f <(
        self TailscaleIPs | sed '/:/s,$,/128,; /:/!s,$,/32,'
        cat "$TK_ETC"/routes.d/* 2>/dev/null || true
    ) || true; } | paste -sd ' '
}

# The preferences that a login which was there gets from us: names as in `tailscale debug prefs`. It keeps its name in the tailnet,
# which others use; earlier versions gave it the node's.
OUR_PREFS=(CorpDNS RouteAll NoSNAT)

# our_pref NAME: our value of it. Nothing where we leave the user's: only routed pods must keep their addresses.
our_pref() {
    case $1 in
    Hostname) echo "$TK_NODE" ;;
    CorpDNS) echo false ;;
    RouteAll) echo true ;;
    NoSNAT) [ "$TK_POD_ROUTING" != native ] || echo true ;;
    esac
}

# pref_flag NAME VALUE: what makes `tailscale set` give a preference that value.
pref_flag() {
    case $1 in
    Hostname) echo "--hostname=$2" ;;
    CorpDNS) echo "--accept-dns=$2" ;;
    RouteAll) echo "--accept-routes=$2" ;;
    NoSNAT) if [ "$2" = true ]; then echo --snat-subnet-routes=false; else echo --snat-subnet-routes=true; fi ;;
    esac
}

# tailscale_set WHAT FLAG...: nothing without a flag.
tailscale_set() {
    local log=$TK_RUN/tailscale-set.log
    [ $# -gt 1 ] || return 0
    timeout 60 tailscale set "${@:2}" >"$log" 2>&1 || fail "tailscale set ${*:2}: $(log_tail "$log" 3)"
    changed "$1 preferences of tailscaled: ${*:2}"
}

# set_prefs NAME...: our values of these preferences, as far as they differ.
set_prefs() {
    local name value flags=()
    ask_prefs
    for name; do
        value=$(our_pref "$name")
        [ -z "$value" ] || [ "$(pref "$name")" = "$value" ] || flags+=("$(pref_flag "$name" "$value")")
    done
    tailscale_set set "${flags[@]}"
}

# restore_prefs: what the login that was there had before us, where it still has our value.
restore_prefs() {
    local name was value flags=()
    [ -e "$TK_STATE/tailscale-prefs" ] || return 0
    ask_prefs
    # Of another login nothing is ours.
    if [ "$(pref ControlURL)" = "$(member $'\t' ControlURL <"$TK_STATE/tailscale-prefs")" ] &&
        [ "$(member $'\t\t' NodeID <<<"$PREFS")" = "$(member $'\t\t' NodeID <"$TK_STATE/tailscale-prefs")" ]; then
        for name in Hostname "${OUR_PREFS[@]}"; do
            was=$(member $'\t' "$name" <"$TK_STATE/tailscale-prefs") value=$(pref "$name")
            [ "$value" = "$was" ] || [ "$value" != "$(TK_POD_ROUTING=native our_pref "$name")" ] || flags+=("$(pref_flag "$name" "$was")")
        done
    fi
    tailscale_set restored "${flags[@]}"
    rm -f -- "$TK_STATE/tailscale-prefs"
}

# What a subnet router's users rely on where routed pods forbid Tailscale's own masquerading, which would hide pods' addresses,
# too: the same for everything but pods. installed/routes.sh keeps it.
masquerade_table() {
    cat <<EOF
table inet tailkube_masquerade
delete table inet tailkube_masquerade
table inet tailkube_masquerade {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        iifname "tailscale0" oifname != "tailscale0" ip daddr != $TK_POD_CIDR masquerade
        iifname "tailscale0" oifname != "tailscale0" meta nfproto ipv6 masquerade
    }
}
EOF
}

# use_found_login: a login that was there is used but not ended by `remove`. Nothing is changed before it is known to be fit, and
# what is changed has been written down. Of PREFS and STATUS.
use_found_login() {
    local problem
    problem=$(device_problem)
    [ -z "$problem" ] || fail "$problem"
    if [ ! -e "$TK_STATE/found-logged-in" ]; then
        own "$TK_STATE/tailscale-prefs"
        [ -e "$TK_STATE/tailscale-prefs" ] || record "$TK_STATE/tailscale-prefs" "$PREFS"
        remember found-logged-in "$TK_LOGIN_SERVER"
    fi
    if [ "$TK_POD_ROUTING" = native ] && [ -e "$TK_STATE/tailscale-prefs" ] &&
        [ "$(member $'\t' NoSNAT <"$TK_STATE/tailscale-prefs")" = false ]; then
        command -v nft >/dev/null || apt_install nftables
        install_text "$TK_ETC/masquerade.nft" 0644 "$(masquerade_table)" || true
        nft -f "$TK_ETC/masquerade.nft" || fail "nft refuses $TK_ETC/masquerade.nft, which masquerades for the networks that this host routes"
    fi
    set_prefs "${OUR_PREFS[@]}"
}

# The record logged-in: the server, and in its second line the device's ID in that tailnet, which no other login has. Without an ID it
# is of a run that was killed in its login, or of an earlier version.
login_record() { printf '%s%s' "$TK_LOGIN_SERVER" "${1:+$'\n'$1}"; }

# note_login: the ID of our login, once it is there. Of STATUS and PREFS.
note_login() {
    local id
    id=$(login_id)
    [ -n "$id" ] && [ "$(login_record "$id")" != "$(cat "$TK_STATE/logged-in" 2>/dev/null)" ] || return 0
    record "$TK_STATE/logged-in" "$(login_record "$id")"
}

# login_id: a device that is stopped has its ID in the preferences alone.
login_id() {
    local id
    id=$(self ID)
    printf '%s' "${id:-$(member $'\t\t' NodeID <<<"$PREFS")}"
}

# whose_login: sets WHOSE, whether the login that is there is the one of the record logged-in (ours), another one, or none; with
# STATUS and PREFS. Without a recorded ID it is ours if it is at our server and has the name that only this program gives it: a
# device that stays can be deleted by its owner, but a login that is ended by mistake may be the only way to the host.
whose_login() {
    local server='' id='' now
    { read -r server && read -r id; } <"$TK_STATE/logged-in" || true
    ask_status
    ask_prefs
    now=$(login_id)
    if [ "$(member '  ' BackendState <<<"$STATUS")" = NeedsLogin ] && [ "$(member '  ' HaveNodeKey <<<"$STATUS")" != true ]; then
        WHOSE=none
    elif [ -n "$id" ] && [ -n "$now" ]; then
        if [ "$id" = "$now" ]; then WHOSE=ours; else WHOSE=another; fi
    elif [ "$(pref ControlURL)" = "$server" ] && [ "$(pref Hostname)" = "$TK_NODE" ]; then
        WHOSE=ours
    else
        WHOSE=another
    fi
}

# forget_login: removes the record of our login if it failed or has ended: the next login may be the user's own.
forget_login() {
    local status
    status=$(timeout 10 tailscale status --json --peers=false 2>/dev/null) || return 0
    [ "$(member '  ' BackendState <<<"$status")" = NeedsLogin ] || return 0
    [ "$(member '  ' HaveNodeKey <<<"$status")" != true ] || return 0
    rm -f -- "$TK_STATE/logged-in"
    sync -- "$TK_STATE"
}

# routes_of_login OURS: prints what a login must advertise: our routes and, on a device that we logged in, the user's from PREFS.
routes_of_login() {
    local record=$TK_STATE/advertised
    {
        cat "$TK_ETC"/routes.d/* 2>/dev/null || true
        if [ -n "$1" ]; then pref AdvertiseRoutes | { if [ -e "$record" ]; then grep -vxFf "$record" || true; else cat; fi; }; fi
    } | sed '/^$/d' | sort -u | paste -sd, -
}

log_in() {
    local key=$TK_RUN/auth-key log=$TK_RUN/tailscale-up.log state ours='' fresh='' problem WHOSE
    # A run that was killed in the middle of `up` has left it.
    rm -f "$key"
    wait_for 60 "tailscaled does not answer" backend_settled
    if [ -e "$TK_STATE/logged-in" ]; then
        whose_login
        [ "$WHOSE" = another ] || ours=1
    else
        ask_status
    fi
    state=$(member '  ' BackendState <<<"$STATUS")
    # `up` would take over the user's device, and `remove` would end its login.
    [ "$state" != Stopped ] || [ -n "$ours" ] || fail "this host is logged in to a tailnet but stopped; run 'tailscale up' or 'tailscale logout' on it"
    if [ "$state" = Running ]; then
        ask_prefs
        [ "$(pref ControlURL)" = "$TK_LOGIN_SERVER" ] || fail "this host is already logged in to $(pref ControlURL), expected $TK_LOGIN_SERVER; run 'tailscale logout' on it, or change tailkube:tailnet.loginServer"
        if [ -z "$ours" ]; then
            use_found_login
            # Somebody has logged this host in again: that login is used like any that was there before.
            rm -f -- "$TK_STATE/logged-in"
            sync -- "$TK_STATE"
            return
        fi
        set_prefs Hostname "${OUR_PREFS[@]}"
    else
        [ -n "$ours" ] || [ "$(member '  ' HaveNodeKey <<<"$STATUS")" != true ] || fail "this host has a login to a tailnet that needs approval or has expired ($state); admit or renew its device in the tailnet's console, or run 'tailscale logout' on this host"
        remember logged-in "$(login_record)"
        fresh=1
        ask_prefs
        (umask 077 && printf '%s' "$TK_AUTH_KEY" >"$key")
        # One `up` that names every flag: a later one that leaves any out is refused, and `set` has neither key nor server. No
        # tags: they come with the key, and headscale refuses a request for them beside one.
        if ! timeout 120 tailscale up --reset --auth-key="file:$key" --login-server="$TK_LOGIN_SERVER" --hostname="$TK_NODE" \
            --accept-dns=false --accept-routes=true --snat-subnet-routes=false \
            --advertise-routes="$(routes_of_login "$ours")" --timeout=90s >"$log" 2>&1; then
            rm -f "$key"
            forget_login
            fail "tailscale up at $TK_LOGIN_SERVER: $(log_tail "$log" 3) — is the auth key valid, reusable, not ephemeral and tagged ${TK_TAGS// / and }?"
        fi
        rm -f "$key"
        changed "logged in to the tailnet"
    fi
    # What it got comes from the server, at the same time as the login or a moment later.
    poll 30 device_is_sound || true
    ask_prefs
    ask_status
    note_login
    problem=$(device_problem)
    if [ -n "$problem" ]; then
        # The next run can use another key.
        if [ -n "$fresh" ]; then
            timeout 60 tailscale logout >/dev/null 2>&1 || true
            forget_login
        fi
        fail "$problem"
    fi
}

# withdraw_routes: of ours; the user's stay.
withdraw_routes() {
    local name
    [ -e "$TK_STATE/advertised" ] || [ -d "$TK_ETC/routes.d" ] || return 0
    for name in pod-cidr endpoint; do
        "$TK_LIB/routes" unset "$name" || return
    done
}

# leave_tailnet: with a login of ours the device goes; one that was there gets back what it had, and one that somebody made after
# ours stays as it is, without our routes.
leave_tailnet() {
    local stopped='' WHOSE=another
    [ -e "$TK_STATE/logged-in" ] || [ -e "$TK_STATE/found-logged-in" ] || return 0
    # Without the package there are no preferences either.
    command -v tailscale >/dev/null || return 0
    if ! unit_runs tailscaled.service; then
        stopped=1
        systemctl start tailscaled.service 2>/dev/null || true
    fi
    wait_for 60 "tailscaled does not answer, so this host cannot leave the tailnet; start it (journalctl -u tailscaled), or remove its package, and run again" backend_settled
    [ ! -e "$TK_STATE/logged-in" ] || whose_login
    if [ "$WHOSE" != another ]; then
        withdraw_routes || true
        # A device that was deleted at the server has nothing to log out from.
        timeout 60 tailscale logout || logged_out || fail "tailscale logout failed; delete the device '$TK_NODE' in the tailnet's console if it stays"
    else
        withdraw_routes || fail "the routes of this host cannot be withdrawn: tailscaled takes no others. Run 'tailscale debug prefs' and journalctl -u tailscaled on it, and run again"
        restore_prefs
        [ ! -e "$TK_STATE/logged-in" ] || changed "left this host logged in to $(pref ControlURL): its device there is not the one that tailkube logged in"
        [ -z "$stopped" ] || systemctl stop tailscaled.service
    fi
    # Nothing is left to log out from: the next run may find no tailscaled to ask, if this one is killed.
    if [ -e "$TK_STATE/logged-in" ]; then
        rm -f -- "$TK_STATE/logged-in"
        sync -- "$TK_STATE"
    fi
}
