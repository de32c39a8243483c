# shellcheck shell=bash
# requires: lib/network
# A host in the tailnet: tailscaled installed, logged in once, its preferences set; units that other stages lean on. The stage
# upgrade uses install_tailscale on a node that has joined.
# Given: TK_AUTH_KEY (secret), TK_LOGIN_SERVER, TK_TAGS (that the device must have, with blanks between), TK_BUNDLE,
# TK_TAILSCALE_VERSION (empty: the newest or the installed one), TK_POD_CIDR, TK_POD_ROUTING, TK_HOST_ROUTES, TK_HOST_NETWORK,
# TK_HOST_WAIT_ADDRESS, TK_HOST_CILIUM (texts of host/installed/*).

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
tailnet_address() { tailscale ip -4 2>/dev/null | head -n 1; }
tailnet_address_is_up() {
    local a
    # Also of an interface that somebody has taken down, for which the address stays.
    a=$(tailnet_address) && [ -n "$a" ] && ip -o -4 address show up to "$a/32" | grep -q .
}

tailscaled_unit() {
    cat <<'EOF'
[Unit]
Description=Tailscale node agent
Documentation=https://tailscale.com/kb/
Wants=network-pre.target
After=network-pre.target systemd-resolved.service NetworkManager.service systemd-networkd.service

[Service]
Type=notify
ExecStart=/usr/local/sbin/tailscaled --state=/var/lib/tailscale/tailscaled.state --socket=/run/tailscale/tailscaled.sock --port=41641
ExecStopPost=/usr/local/sbin/tailscaled --cleanup
Restart=on-failure
RuntimeDirectory=tailscale
RuntimeDirectoryMode=0755
StateDirectory=tailscale
StateDirectoryMode=0700

[Install]
WantedBy=multi-user.target
EOF
}

# VXLAN over Tailscale corrupts packets on kernels up to 6.8.4 unless this is off (tailscale/tailscale#11026).
disable_udp_gro() {
    TK_READERS=tailscaled.service install_text /etc/systemd/system/tailscaled.service.d/50-tailkube.conf 0644 $'[Service]\nEnvironment=TS_TUN_DISABLE_UDP_GRO=true' || true
}

install_tailscale() {
    [ "$TK_POD_ROUTING" != vxlan ] || disable_udp_gro
    if [ -n "$TK_BUNDLE" ]; then
        if command -v tailscaled >/dev/null && ! grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
            unit_start tailscaled.service
            return
        fi
        TK_READERS=tailscaled.service install_binary "$TK_BUNDLE/bin/tailscaled" /usr/local/sbin/tailscaled || true
        install_binary "$TK_BUNDLE/bin/tailscale" /usr/local/bin/tailscale || true
        TK_READERS=tailscaled.service install_text /etc/systemd/system/tailscaled.service 0644 "$(tailscaled_unit)" || true
        unit_start tailscaled.service
        return
    fi
    if ! command -v tailscaled >/dev/null || [ -n "$TK_TAILSCALE_VERSION" ]; then
        local base=${TK_PACKAGES_TAILSCALE:-https://pkgs.tailscale.com} key=/usr/share/keyrings/tailscale-archive-keyring.gpg id suite
        id=$(distribution)
        suite=$(codename)
        # As tailscale.com/download/linux has it.
        apt_repository tailscale "$key" "${TK_PACKAGES_TAILSCALE_KEY:-$base/stable/$id/$suite.noarmor.gpg}" \
            "deb [signed-by=$key] $base/stable/$id $suite main"
        if [ -z "$TK_TAILSCALE_VERSION" ]; then apt_install tailscale; else apt_install_version tailscale "$TK_TAILSCALE_VERSION"; fi
    fi
    unit_start tailscaled.service
}

# A subnet router forwards.
forward_ipv4() {
    install_text /etc/sysctl.d/90-tailkube-forward.conf 0644 'net.ipv4.ip_forward = 1' || true
    [ "$(sysctl -n net.ipv4.ip_forward)" = 1 ] || sysctl -qw net.ipv4.ip_forward=1
}

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

# set_prefs NAME...: our values of these preferences, as far as they differ.
set_prefs() {
    local name value flags=() log=$TK_RUN/tailscale-set.log
    ask_prefs
    for name; do
        value=$(our_pref "$name")
        [ -z "$value" ] || [ "$(pref "$name")" = "$value" ] || flags+=("$(pref_flag "$name" "$value")")
    done
    [ "${#flags[@]}" -gt 0 ] || return 0
    timeout 60 tailscale set "${flags[@]}" >"$log" 2>&1 || fail "tailscale set ${flags[*]}: $(log_tail "$log" 3)"
    changed "set preferences of tailscaled: ${flags[*]}"
}

# restore_prefs: what the login that was there had before us, where it still has our value.
restore_prefs() {
    local name was value flags=() log=$TK_RUN/tailscale-set.log
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
    if [ "${#flags[@]}" -gt 0 ]; then
        timeout 60 tailscale set "${flags[@]}" >"$log" 2>&1 || fail "tailscale set ${flags[*]}: $(log_tail "$log" 3)"
        changed "restored preferences of tailscaled: ${flags[*]}"
    fi
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
        own "$TK_STATE/found-logged-in"
        record "$TK_STATE/found-logged-in" "$TK_LOGIN_SERVER"
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
        [ "$(pref ControlURL)" = "$TK_LOGIN_SERVER" ] || fail "this host is already logged in to $(pref ControlURL), wanted $TK_LOGIN_SERVER; run 'tailscale logout' on it, or change tailkube:tailnet.loginServer"
        if [ -z "$ours" ]; then
            use_found_login
            # Somebody has logged this host in again: that login is used like any that was there before.
            rm -f -- "$TK_STATE/logged-in"
            sync -- "$TK_STATE"
            return
        fi
        set_prefs Hostname "${OUR_PREFS[@]}"
    else
        [ -n "$ours" ] || [ "$(member '  ' HaveNodeKey <<<"$STATUS")" != true ] || fail "this host has a login to a tailnet that is not in force ($state); admit or renew its device in the tailnet's console, or run 'tailscale logout' on this host"
        own "$TK_STATE/logged-in"
        record "$TK_STATE/logged-in" "$(login_record)"
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

# What keeps the routes of this host advertised, whoever else sets them.
routes_unit() {
    cat <<'EOF'
[Unit]
Description=Keep this node's routes advertised to the tailnet
After=tailscaled.service nftables.service
Wants=tailscaled.service
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/local/lib/tailkube/routes watch
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
EOF
}

network_unit() {
    cat <<'EOF'
[Unit]
Description=Policy rules, filter and kernel settings for pods over the tailnet
After=tailscaled.service nftables.service
Wants=tailscaled.service

[Service]
ExecStartPre=/usr/local/lib/tailkube/network up
ExecStart=/usr/local/lib/tailkube/network watch
ExecStopPost=/usr/local/lib/tailkube/network down
Restart=on-failure
RestartSec=2

[Install]
WantedBy=multi-user.target
EOF
}

# PartOf for a restart, also systemd's own after a crash; WantedBy for a start after a stop.
cilium_unit() {
    cat <<'EOF'
[Unit]
Description=Restart Cilium's agent when tailscaled has made tailscale0 anew
PartOf=tailscaled.service
After=tailscaled.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
ExecStart=/usr/local/lib/tailkube/cilium

[Install]
WantedBy=tailscaled.service
EOF
}

install_tailnet_units() {
    local address=$1
    TK_READERS=tailkube-routes.service install_text "$TK_LIB/routes" 0755 "$TK_HOST_ROUTES" || true
    install_text "$TK_LIB/wait-address" 0755 "$TK_HOST_WAIT_ADDRESS" || true
    install_text "$TK_LIB/cilium" 0755 "$TK_HOST_CILIUM" || true
    TK_READERS=tailkube-network.service install_text "$TK_LIB/network" 0755 "$TK_HOST_NETWORK" || true
    TK_READERS=tailkube-network.service install_node_env "$address" || true
    install_text /etc/systemd/system/tailkube-address.service 0644 "$(address_unit tailscaled.service)" || true
    install_text /etc/systemd/system/tailkube-network.service 0644 "$(network_unit)" || true
    install_text /etc/systemd/system/tailkube-cilium.service 0644 "$(cilium_unit)" || true
    TK_READERS=tailkube-routes.service install_text /etc/systemd/system/tailkube-routes.service 0644 "$(routes_unit)" || true
    command -v nft >/dev/null || apt_install nftables
    unit_start tailkube-network.service
    unit_start tailkube-address.service
    unit_start tailkube-cilium.service
    unit_start tailkube-routes.service
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

masquerade_tables() { own_table tailkube_masquerade; }
filter_tables() { own_table tailkube; }
own_table() {
    local tables
    command -v nft >/dev/null || return 0
    tables=$(nft_tables) || return
    grep -xF "table inet $1" <<<"$tables" || true
}

# network_rules: "FAMILY PREFERENCE: RULE" of those that installed/network.sh makes.
network_rules() {
    local family text
    for family in -4 -6; do
        [ "$family" = -4 ] || [ -e /proc/net/if_inet6 ] || continue
        text=$(ip "$family" rule show) || return
        tr -s '\t ' ' ' <<<"$text" | sed -nE "s/ proto [^ ]+//; s/ +$//; /^(5180|520[0-5]): .*lookup (52|main suppress_prefixlength [0-9]+)$/s/^/$family /p"
    done
}
remove_network_rule() {
    local family=${1%% *} rule=${1#* }
    # shellcheck disable=SC2086  # words of a rule
    ip "$family" rule del pref "${rule%%:*}" ${rule#*:}
}

# Away with what this stage has made, the device in the tailnet included.
remove_tailnet() {
    local fresh=''
    grep -qsxF /var/lib/tailscale/.tailkube "$TK_STATE/owned.tailnet" && fresh=1
    # First, for it would put back what is withdrawn.
    unit_stop tailkube-routes.service
    unit_stop tailkube-address.service
    unit_stop tailkube-cilium.service
    leave_tailnet
    if [ -e "$TK_ETC/masquerade.nft" ]; then
        until_none 10 "nft cannot delete it" "which tables nftables has (nft list tables)" masquerade_tables nft_delete
    fi
    rm -rf "$TK_ETC/routes.d" "$TK_STATE/advertised"
    # Of a run that was killed while it wrote.
    rm -f "$TK_STATE/.advertised" "$TK_STATE/tailscale-prefs.new" "$TK_STATE/found-logged-in.new" "$TK_STATE/logged-in.new"
    if grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
        unit_stop tailscaled.service
        /usr/local/sbin/tailscaled --cleanup >/dev/null 2>&1 || true
        [ -z "$fresh" ] || rm -rf /var/lib/tailscale /var/cache/tailscale
    fi
    # Its rules keep the host's own networks from what other devices advertise, for as long as Tailscale is up.
    unit_stop tailkube-network.service
    # It says nothing of what it could not take away when it stopped.
    if owned "$TK_LIB/network" tailnet; then
        until_none 10 "this policy rule of tailkube's cannot be removed (ip rule del)" "which policy rules this host has (ip rule show)" network_rules remove_network_rule
        until_none 10 "nft cannot delete it" "which tables nftables has (nft list tables)" filter_tables nft_delete
    fi
    undo_network
    rm -rf /run/tailkube-routes.lock /run/tailkube-routes.withdrawn
}
