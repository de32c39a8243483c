# shellcheck shell=bash
# On the operator's machine: one connection to a host, for the command `tailkube`, without a second attempt. After ssh.sh.
# Given as environment: TAILKUBE_COMMAND. With TAILKUBE_SESSION, the host's command gets descriptor 5, which is the operator's own stdin,
# instead of the rest of this script's; it may be empty, for a login shell. TAILKUBE_TERMINAL: 1 if that is a terminal.
# shellcheck disable=SC2154  # options, target and directory are ssh.sh's

# The first value counts. A host that is not there must not hold up the answers of others.
options=(-o ConnectTimeout=8 -o ServerAliveInterval=5 -o ServerAliveCountMax=4 "${options[@]}")
status=0
if [ -n "${TAILKUBE_SESSION:-}" ]; then
    [ "${TAILKUBE_TERMINAL:-}" != 1 ] || options=(-t "${options[@]}")
    # shellcheck disable=SC2029  # the operator's words are for the host's shell
    ssh "${options[@]}" "$target" ${TAILKUBE_COMMAND:+"$TAILKUBE_COMMAND"} <&5 || status=$?
else
    (on_host "$TAILKUBE_COMMAND") <&3 2>"$directory/script-error" || status=$?
    [ "$status" = 0 ] || refuse_sudo "$directory/script-error"
    cat "$directory/script-error" >&2
fi
exit "$status"
