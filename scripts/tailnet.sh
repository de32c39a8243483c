# shellcheck shell=bash
# Stage tailnet: tailscaled installed, logged in once, its preferences set; units that other stages lean on. The stage
# upgrade uses install_tailscale on a node that has joined. After network.sh.
# Given: TK_AUTH_KEY (secret), TK_LOGIN_SERVER, TK_TAG, TK_BUNDLE, TK_TAILSCALE_VERSION (empty: the newest or the installed
# one), TK_POD_CIDR, TK_POD_ROUTING, TK_HOST_ROUTES, TK_HOST_NETWORK, TK_HOST_WAIT_ADDRESS, TK_HOST_CILIUM (texts of
# scripts/host/*).

status_field() { tailscale status --json --peers=false 2>/dev/null | tr -d '\n\t' | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }
backend_state() { tailscale status --json --peers=false 2>/dev/null | sed -n 's/.*"BackendState": *"\([^"]*\)".*/\1/p'; }
logged_out() { [ "$(backend_state)" = NeedsLogin ]; }
backend_settled() { case $(backend_state) in Running | NeedsLogin | Stopped | NeedsMachineAuth) true ;; *) false ;; esac; }
tailnet_address() { tailscale ip -4 2>/dev/null | head -n 1; }
address_is_up() { local a; a=$(tailnet_address) && [ -n "$a" ] && ip -o -4 address show to "$a/32" | grep -q .; }
control_url() { tailscale debug prefs 2>/dev/null | sed -n 's/.*"ControlURL": *"\([^"]*\)".*/\1/p'; }

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
    if install_text /etc/systemd/system/tailscaled.service.d/50-tailkube.conf 0644 $'[Service]\nEnvironment=TS_TUN_DISABLE_UDP_GRO=true'; then
        systemctl daemon-reload
        systemctl try-restart tailscaled.service
    fi
}

install_tailscale() {
    local restart=
    [ "$TK_POD_ROUTING" != vxlan ] || disable_udp_gro
    if [ -n "$TK_BUNDLE" ]; then
        if command -v tailscaled >/dev/null && ! grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
            unit_start tailscaled.service
            return
        fi
        if install_binary "$TK_BUNDLE/bin/tailscaled" /usr/local/sbin/tailscaled; then restart=restart; fi
        install_binary "$TK_BUNDLE/bin/tailscale" /usr/local/bin/tailscale || true
        if install_text /etc/systemd/system/tailscaled.service 0644 "$(tailscaled_unit)"; then
            systemctl daemon-reload
            restart=restart
        fi
        unit_start tailscaled.service $restart
        return
    fi
    if ! command -v tailscaled >/dev/null || [ -n "$TK_TAILSCALE_VERSION" ]; then
        local id codename
        # shellcheck source=/dev/null
        id=$(. /etc/os-release && printf '%s' "$ID")
        # shellcheck source=/dev/null
        codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
        # Derivatives (Armbian, Raspberry Pi OS) name themselves by the distribution that they are made of.
        # shellcheck source=/dev/null
        case $id in debian | ubuntu | raspbian) ;; *) case $(. /etc/os-release && printf '%s' "${ID_LIKE:-}") in *ubuntu*) id=ubuntu ;; *) id=debian ;; esac ;; esac
        apt_repository tailscale "https://pkgs.tailscale.com/stable/$id/$codename.noarmor.gpg" \
            "deb [signed-by=/etc/apt/keyrings/tailscale.gpg] https://pkgs.tailscale.com/stable/$id $codename main"
        if [ -z "$TK_TAILSCALE_VERSION" ]; then apt_install tailscale; else apt_install_version tailscale "$TK_TAILSCALE_VERSION"; fi
    fi
    unit_start tailscaled.service
}

# A subnet router forwards.
forward_ipv4() {
    install_text /etc/sysctl.d/90-tailkube-forward.conf 0644 'net.ipv4.ip_forward = 1' || true
    [ "$(sysctl -n net.ipv4.ip_forward)" = 1 ] || sysctl -qw net.ipv4.ip_forward=1
}

log_in() {
    local key=$TK_RUN/auth-key log=$TK_RUN/tailscale-up.log state
    # A run that was killed in the middle of `up` has left it.
    rm -f "$key"
    wait_for 60 "tailscaled does not answer" backend_settled
    state=$(backend_state)
    # `up` would take over the user's device, and `remove` would end its login.
    [ "$state" != Stopped ] || [ -e "$TK_STATE/logged-in" ] || fail "this host is logged in to a tailnet but stopped; run 'tailscale up' or 'tailscale logout' on it"
    if [ "$state" = Running ]; then
        [ "$(control_url)" = "$TK_LOGIN_SERVER" ] || fail "this host is already logged in to $(control_url), wanted $TK_LOGIN_SERVER; run 'tailscale logout' on it, or change tailkube:tailnetLoginServer"
        # Somebody else's login is used but not ended by `remove`.
        [ -e "$TK_STATE/logged-in" ] || [ -e "$TK_STATE/found-logged-in" ] || { own "$TK_STATE/found-logged-in" && : >"$TK_STATE/found-logged-in"; }
        tailscale set --hostname="$TK_NODE" --accept-dns=false --accept-routes=true --snat-subnet-routes=false
        return
    fi
    own "$TK_STATE/logged-in"
    : >"$TK_STATE/logged-in"
    (umask 077 && printf '%s' "$TK_AUTH_KEY" >"$key")
    # One `up` that names every flag: a later one that leaves any out is refused, and `set` has neither key nor server.
    if ! timeout 120 tailscale up --reset --auth-key="file:$key" --login-server="$TK_LOGIN_SERVER" --hostname="$TK_NODE" \
        ${TK_TAG:+--advertise-tags="$TK_TAG"} --accept-dns=false --accept-routes=true --snat-subnet-routes=false \
        --advertise-routes="$(cat "$TK_ETC"/routes.d/* 2>/dev/null | sort -u | paste -sd, -)" --timeout=90s >"$log" 2>&1; then
        rm -f "$key"
        fail "tailscale up at $TK_LOGIN_SERVER: $(log_tail "$log" 3)— is the auth key valid, reusable, not ephemeral and allowed ${TK_TAG:-no tag}?"
    fi
    rm -f "$key"
    changed "logged in to the tailnet"
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

install_units() {
    local address=$1 reload='' restart=''
    install_text "$TK_LIB/routes" 0755 "$TK_HOST_ROUTES" || true
    install_text "$TK_LIB/wait-address" 0755 "$TK_HOST_WAIT_ADDRESS" || true
    install_text "$TK_LIB/cilium" 0755 "$TK_HOST_CILIUM" || true
    if install_text "$TK_LIB/network" 0755 "$TK_HOST_NETWORK"; then restart=restart; fi
    if install_node_env "$address"; then restart=restart; fi
    if install_text /etc/systemd/system/tailkube-address.service 0644 "$(address_unit tailscaled.service)"; then reload=1; fi
    if install_text /etc/systemd/system/tailkube-network.service 0644 "$(network_unit)"; then reload=1; fi
    if install_text /etc/systemd/system/tailkube-cilium.service 0644 "$(cilium_unit)"; then reload=1; fi
    [ -z "$reload" ] || systemctl daemon-reload
    command -v nft >/dev/null || apt_install nftables
    unit_start tailkube-network.service $restart
    unit_start tailkube-address.service
    unit_start tailkube-cilium.service
}

apply() {
    local address name
    remember_kernel
    guard_network apply
    calm_network_managers
    forward_ipv4
    # The unit keeps its state here; it is ours to remove only if it was not there before.
    [ -e /var/lib/tailscale ] || own /var/lib/tailscale/.tailkube
    # What a node of a cluster runs is changed by the stage upgrade, one node at a time; here all hosts go at once.
    if [ -e "$TK_STATE/joined" ]; then unit_start tailscaled.service; else install_tailscale; fi
    log_in
    wait_for 60 "the tailnet address does not appear on this host" address_is_up
    address=$(tailnet_address)
    install_units "$address"
    name=$(status_field DNSName)
    result address "$address" deviceId "$(status_field ID)" deviceName "${name%%.*}"
}

# Away with what this stage has made, the device in the tailnet included.
remove_tailnet() {
    local fresh=''
    grep -qsxF /var/lib/tailscale/.tailkube "$TK_STATE/owned.tailnet" && fresh=1
    unit_stop tailkube-network.service
    unit_stop tailkube-address.service
    unit_stop tailkube-cilium.service
    # Without it nobody could log out.
    [ ! -e "$TK_STATE/logged-in" ] || systemctl start tailscaled.service 2>/dev/null || true
    if command -v tailscale >/dev/null && systemctl is-active --quiet tailscaled; then
        for name in pod-cidr endpoint; do
            [ ! -e "$TK_ETC/routes.d/$name" ] || "$TK_LIB/routes" unset "$name" || true
        done
        if [ -e "$TK_STATE/logged-in" ]; then
            # A device that was deleted at the server has nothing to log out from.
            timeout 60 tailscale logout || logged_out || fail "tailscale logout failed; delete the device '$TK_NODE' in the tailnet's console if it stays"
        fi
    fi
    rm -rf "$TK_ETC/routes.d" "$TK_STATE/advertised"
    if grep -qsxF /usr/local/sbin/tailscaled "$TK_STATE/owned.tailnet"; then
        unit_stop tailscaled.service
        /usr/local/sbin/tailscaled --cleanup >/dev/null 2>&1 || true
        [ -z "$fresh" ] || rm -rf /var/lib/tailscale /var/cache/tailscale
    fi
    undo_network
    rm -f /run/tailkube-routes.lock
}
