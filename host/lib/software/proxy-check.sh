# shellcheck shell=bash
# Whether the proxy can be reached from this host and lets through what the host needs. Changes nothing, and needs no curl.
# Given: TK_PROXY_AUTHORIZATION (`USER:PASSWORD` in base64; empty or absent: none).
# shellcheck disable=SC2034  # PROXY_SAID and PROXY_STOPS are read by TK_REQUIREMENTS

# What is wrong, for a message; and whether that is the proxy itself, so that no further question makes sense.
PROXY_SAID=
PROXY_STOPS=

# proxy_client HOST PORT: sends stdin, which may hold a password, and prints the first line of the answer; nothing to send is a
# connection alone. It is a process of its own, which `timeout` can end.
proxy_client() {
    # shellcheck disable=SC2016  # that process's own variables
    timeout 8 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 7
        request=$(cat; printf x)
        [ "$request" != x ] || exit 0
        printf %s "${request%x}" >&3
        IFS= read -r line <&3
        printf %s "$line"' proxy-client "$1" "$2" 2>/dev/null
}

# proxy_reachable HOST PORT
proxy_reachable() {
    local status=0
    proxy_client "$1" "$2" </dev/null >/dev/null || status=$?
    case $status in
    0) return 0 ;;
    124) PROXY_SAID="it does not answer within 8 s" ;;
    *) PROXY_SAID="the connection is refused, or its name is unknown" ;;
    esac
    PROXY_STOPS=1
    return 1
}

# proxy_request URL AUTHORIZATION: what a client sends to the proxy to get to a URL, which has no slash at its end.
proxy_request() {
    local at=${1#*://}
    at=${at%%/*}
    if [[ $1 == https://* ]]; then
        [[ $at == *:* ]] || at=$at:443
        printf 'CONNECT %s HTTP/1.1\r\nHost: %s\r\n' "$at" "$at"
    else
        printf 'HEAD %s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n' "$1" "$at"
    fi
    [ -z "$2" ] || printf 'Proxy-Authorization: Basic %s\r\n' "$2"
    printf '\r\n'
}

# proxy_lets HOST PORT URL [open]: whether the proxy lets this host through to a URL; `open`: without the password.
proxy_lets() {
    local status=0 line code authorization=${TK_PROXY_AUTHORIZATION:-}
    [ -z "$PROXY_STOPS" ] || return 0
    [ "${4:-}" != open ] || authorization=
    line=$(proxy_request "$3" "$authorization" | proxy_client "$1" "$2") || status=$?
    code=$(sed -nE 's/^HTTP\/[0-9.]+ ([0-9]{3}).*/\1/p' <<<"$line")
    case $status:$code in
    124:*) PROXY_SAID="it does not answer within 8 s" ;;
    *:) PROXY_SAID="it does not answer as an HTTP proxy does" ;;
    *:407)
        if [ "${4:-}" = open ]; then
            PROXY_SAID="it asks for a user and a password (HTTP 407), which tailscaled would write to its log, so it gets none"
        else
            if [ -z "$authorization" ]; then
                PROXY_SAID="it asks for a user and a password (HTTP 407), and proxyCredentials is not set"
            else
                PROXY_SAID="it refuses the user and the password in proxyCredentials (HTTP 407)"
            fi
            PROXY_STOPS=1
        fi
        ;;
    *:2??) return 0 ;;
    *:403 | *:4?? | *:3??)
        # Of an http URL it may be the answer of the server itself.
        [[ $3 == https://* ]] || return 0
        PROXY_SAID="it answers HTTP $code"
        ;;
    *) PROXY_SAID="it answers HTTP $code: it cannot reach that server itself" ;;
    esac
    return 1
}

# distribution_site NO_PROXY: the first place that this host's own packages come from by way of the proxy; nothing if apt has a proxy
# of its own, which stays, or reaches the place without one.
distribution_site() {
    local own site host entry entries
    own=$(apt-config dump Acquire::http::Proxy Acquire::https::Proxy 2>/dev/null | sed -n 's/.* "\(..*\)";$/\1/p')
    [ -z "$own" ] || return 0
    # shellcheck disable=SC2016  # apt's own variable
    site=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 -E '^https?://')
    host=${site#*://}
    host=${host%%[:/]*}
    IFS=, read -ra entries <<<"$1"
    # As apt compares them.
    for entry in "${entries[@]}"; do [[ $host != *"$entry" ]] || return 0; done
    printf '%s' "$site"
}
