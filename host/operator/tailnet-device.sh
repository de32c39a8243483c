#!/bin/sh
# Deletes a node's device from the tailnet; runs on the operator's machine. Given: TK_API (URL), TK_DEVICE (its ID), TK_LOGIN (ours:
# tailkube has logged it in; found: it was there before, and stays), TK_NODE in the environment, the API's access token on stdin; or TK_OAUTH_CLIENT (its ID) and that client's secret. It ends within about a
# minute, and well in any case: a destroy goes on without it, with one line of warning.

warn() {
    printf 'tailkube: %s: its device (ID %s) may still be in the tailnet: %s. Delete it in the console of the tailnet.\n' \
        "$TK_NODE" "${TK_DEVICE:-unknown}" "$1" >&2
    exit 0
}

case ${TK_LOGIN:-} in
ours) ;;
found) exit 0 ;;
*) warn 'it is not known whether tailkube has logged it in' ;;
esac
case $TK_DEVICE in '' | *[!A-Za-z0-9]*) warn 'its ID is not known' ;; esac
command -v curl >/dev/null || warn 'there is no curl on this machine'

token=$(tr -d '\r\n')
# An OAuth client gets a token that is good for an hour. printf is the shell's own: no argument of it is in a process list.
if [ -n "${TK_OAUTH_CLIENT:-}" ]; then
    answer=$(printf 'data-urlencode = "client_secret=%s"\n' "$token" |
        curl --disable --config - --silent --show-error --connect-timeout 10 --max-time 20 \
            --data-urlencode "client_id=$TK_OAUTH_CLIENT" --write-out '\nstatus %{http_code}\n' "$TK_API/api/v2/oauth/token" 2>&1)
    token=$(printf '%s\n' "$answer" | sed -n 's/.*"access_token" *: *"\([A-Za-z0-9._~+/=-]*\)".*/\1/p')
    [ -n "$token" ] || warn "$TK_API gives the OAuth client no access token (status $(printf '%s\n' "$answer" | sed -n 's/^status //p' | tail -n 1))"
fi

# What the API says comes before the status. (With --output curl would want to truncate the file before it tries again.)
# The token goes by curl's stdin, where no other user of this machine can see it. No .curlrc: it might write headers to a log.
answer=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl --disable --config - --silent --show-error --request DELETE --connect-timeout 10 --max-time 20 \
        --retry 2 --retry-max-time 40 --write-out '\nstatus %{http_code}\n' \
        "$TK_API/api/v2/device/$TK_DEVICE" 2>&1)
status=$(printf '%s\n' "$answer" | sed -n 's/^status //p' | tail -n 1)
case $status in
# 404: it is gone already, deleted by somebody else or, if it was ephemeral, by its own logout.
200 | 404) ;;
401 | 403) warn "$TK_API refuses the access token ($status): is it valid, and may it delete devices" ;;
'' | 000) warn "$TK_API does not answer ($(printf '%s\n' "$answer" | sed -n 's/^curl: ([0-9]*) //p' | tail -n 1))" ;;
*) warn "$TK_API answers with status $status" ;;
esac
