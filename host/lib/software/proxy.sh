# shellcheck shell=bash
# requires: lib/records/files
# The proxy between this host and the internet: for single commands, and for the units containerd and tailscaled.
# Given: TK_PROXY (an environment, NAME=VALUE lines, which may hold a password; empty or absent: no proxy).

# through_proxy COMMAND...: with the proxy in its environment. No other command has it there: kubeadm would write it into the
# manifests of the control plane, where users of the API can read it, and kubectl would ask it for the nodes.
through_proxy() (
    while IFS= read -r setting; do
        [ -n "$setting" ] || continue
        name=${setting%%=*}
        # curl knows http_proxy in small letters alone.
        export "$name=${setting#*=}" "${name,,}=${setting#*=}"
    done <<<"${TK_PROXY:-}"
    "$@"
)

# A file of its own for root alone: systemd shows `Environment=` to every user of the host.
proxy_environment() { printf '%s/%s-proxy.env' "$TK_ETC" "${1%.service}"; }
proxy_dropin() { printf '/etc/systemd/system/%s.d/60-tailkube-proxy.conf' "$1"; }

# install_proxy UNIT ENVIRONMENT: the proxy of a unit, or none if it is empty. unit_start then restarts the unit if that changed.
install_proxy() {
    local environment dropin
    environment=$(proxy_environment "$1")
    dropin=$(proxy_dropin "$1")
    if [ -n "$2" ]; then
        TK_READERS=$1 install_text "$environment" 0600 "$2" || true
        TK_READERS=$1 install_text "$dropin" 0644 $'[Service]\nEnvironmentFile=-'"$environment" || true
    else
        TK_READERS=$1 release_path "$dropin" || true
        TK_READERS=$1 release_path "$environment" || true
    fi
}

# has_proxy UNIT ENVIRONMENT: whether the unit runs with it, or without one if it is empty.
has_proxy() {
    local environment dropin
    environment=$(proxy_environment "$1")
    dropin=$(proxy_dropin "$1")
    [ "$(cat "$environment" 2>/dev/null)" = "$2" ] && [ ! -e "$TK_RUN/restart/$1" ] || return
    if [ -n "$2" ]; then [ -e "$dropin" ]; else [ ! -e "$dropin" ]; fi
}
