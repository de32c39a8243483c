# shellcheck shell=bash
# On the operator's machine: takes what is ours off a host, or says that the host is not there any more. Ends with 0 in
# both cases, for a dead machine must not hold up anything; with an error only where a host that is there was not cleaned.
# Given as environment: TAILKUBE_NODE, TAILKUBE_HOST, TAILKUBE_PORT, TAILKUBE_USER, TAILKUBE_HOST_KEY, TAILKUBE_COMMAND.
# On stdin: the private key, an empty line, the script for the host.
set -uo pipefail

say() { printf 'tailkube: %s: %s\n' "$TAILKUBE_NODE" "$*" >&2; }
# At a terminal the CLI shows what a deletion says only while it runs, and a host that is passed over is in no state any
# more: it is kept in a file of the project, too.
pass_over() {
    say "$*"
    printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$TAILKUBE_NODE" "$*" >>tailkube-not-cleaned.log || say "this could not be kept in $PWD/tailkube-not-cleaned.log"
    exit 0
}
where="$TAILKUBE_HOST port $TAILKUBE_PORT"

key=
while IFS= read -r line && [ -n "$line" ]; do key+=$line$'\n'; done

directory=$(mktemp -d)
trap '[ -z "${SSH_AGENT_PID:-}" ] || kill "$SSH_AGENT_PID" 2>/dev/null; rm -rf "$directory"' EXIT
# The key goes to an agent of our own, by stdin: it is never in a file. The options keep the operator's own settings, keys
# and known hosts out of it.
unset SSH_AUTH_SOCK SSH_AGENT_PID
eval "$(ssh-agent -s)" >/dev/null
printf '%s' "$key" | ssh-add -q - 2>/dev/null || { say "the private SSH key is refused by ssh-add: is it whole, and without a passphrase?"; exit 1; }
key=
if [ "$TAILKUBE_PORT" = 22 ]; then name=$TAILKUBE_HOST; else name="[$TAILKUBE_HOST]:$TAILKUBE_PORT"; fi
printf '%s %s\n' "$name" "$TAILKUBE_HOST_KEY" >"$directory/known_hosts"
read -r algorithm _ <<<"$TAILKUBE_HOST_KEY"
options=(-F /dev/null -p "$TAILKUBE_PORT" -l "$TAILKUBE_USER" -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes
    -o UserKnownHostsFile="$directory/known_hosts" -o GlobalKnownHostsFile=/dev/null -o HostKeyAlgorithms="$algorithm"
    -o PreferredAuthentications=publickey -o ServerAliveInterval=10 -o ServerAliveCountMax=6 -o LogLevel=ERROR)

# Three dials of 10 s: a host that reboots at the moment is tried again by the next destroy only if it is said.
for attempt in 1 2 3; do
    if ssh "${options[@]}" "$TAILKUBE_HOST" true </dev/null 2>"$directory/error"; then break; fi
    error=$(tail -n 1 "$directory/error")
    if grep -q 'Host key verification failed\|no matching host key type' "$directory/error"; then
        pass_over "another machine answers at $where than the one that was set up; it is left alone. If the old one is still somewhere, reinstall it."
    fi
    if grep -q 'Permission denied' "$directory/error"; then
        say "$TAILKUBE_USER is not let in at $where, so nothing was cleaned: $error"
        exit 1
    fi
    if [ "$attempt" = 3 ]; then
        pass_over "no answer at $where, so nothing was cleaned there: ${error:-timed out}. If the machine comes back it still has tailscaled, containerd, the kubelet and /etc/kubernetes: reinstall it (README, A machine that is gone)."
    fi
    sleep 2
done

# shellcheck disable=SC2029  # the command is known here
if ! ssh "${options[@]}" "$TAILKUBE_HOST" "$TAILKUBE_COMMAND" >"$directory/result" 2>"$directory/error"; then
    cat "$directory/error" >&2
    say "it could not be cleaned whole; run again"
    exit 1
fi
