# shellcheck shell=bash
# On the operator's machine: reaches a host by OpenSSH. What it runs there that may cut the host off runs under the host's guard
# (host/installed/guard.sh). Before run-stage.sh, run-guarded-stage.sh or run-cleanup.sh, as a child of an ssh-agent of its own, which ends
# with its parent: also after a SIGKILL no agent keeps the key.
# Given as environment: TAILKUBE_NODE, TAILKUBE_HOST, TAILKUBE_PORT, TAILKUBE_USER, TAILKUBE_HOST_KEY, TAILKUBE_COMMAND (what runs
# the host's script), TAILKUBE_SHELL (what runs a short script of ours there: `bash -s --`, by sudo or not).
# On stdin: the private key (with TAILKUBE_WAY, what ssh-config.sh reads instead), an empty line, the script for the host.
set -uo pipefail

say() { printf 'tailkube: %s: %s\n' "$TAILKUBE_NODE" "$*" >&2; }
where="$TAILKUBE_HOST port $TAILKUBE_PORT"
# Seconds between two connections from outside while a script runs, and the bound on the last one. The guard waits 40 s.
beat=${TAILKUBE_BEAT:-10}
last=${TAILKUBE_LAST:-120}

# Without its own known hosts, ssh would take any host for another machine than the one that was set up.
no_room() {
    say "this machine cannot write temporary files below ${TMPDIR:-/tmp}, so nothing was done: is its disk full?"
    exit 1
}
directory=$(mktemp -d) || no_room
trap 'rm -rf "$directory"' EXIT
# The options keep the operator's own settings, keys and known hosts out of it.
target=$TAILKUBE_HOST
options=(-F /dev/null -p "$TAILKUBE_PORT" -l "$TAILKUBE_USER" -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=yes)
use_key() {
    local key='' line algorithm name=$TAILKUBE_HOST
    while IFS= read -r line && [ -n "$line" ]; do key+=$line$'\n'; done
    # By stdin: the key is never in a file.
    printf '%s' "$key" | ssh-add -q - 2>/dev/null || {
        say "the private SSH key is refused by ssh-add: is it whole, and without a passphrase?"
        exit 1
    }
    [ "$TAILKUBE_PORT" = 22 ] || name="[$TAILKUBE_HOST]:$TAILKUBE_PORT"
    printf '%s %s\n' "$name" "$TAILKUBE_HOST_KEY" >"$directory/known_hosts" || no_room
    read -r algorithm _ <<<"$TAILKUBE_HOST_KEY"
    options+=(-o UserKnownHostsFile="$directory/known_hosts" -o GlobalKnownHostsFile=/dev/null -o HostKeyAlgorithms="$algorithm"
        -o PreferredAuthentications=publickey -o ServerAliveInterval=10 -o ServerAliveCountMax=6 -o LogLevel=ERROR -o ControlPath=none)
}
sudo_password=
if [ -n "${TAILKUBE_WAY:-}" ]; then
    read_secrets
    write_way "$TAILKUBE_WAY" way || no_room
    target=tailkube-host
    options=(-F "$directory/way")
else
    use_key
fi
# The rest of stdin, for a job in the background.
exec 3<&0

# on_host COMMAND: becomes ssh, so it runs in a subshell or in the background. Its stdin is the script for COMMAND.
on_host() {
    # shellcheck disable=SC2029  # the command is known here
    [ -n "$sudo_password" ] || exec ssh "${options[@]}" "$target" "$1"
    exec 4<&0
    # shellcheck disable=SC2154  # as_root is ssh-config.sh's
    exec ssh "${options[@]}" "$target" 'bash -s' < <(printf '%s\nas_root %s; exit\n%s\n' "$as_root" "$1" "$sudo_password" && cat <&4)
}

# dial: whether the host lets us in. What ssh said is in $directory/error.
dial() { ssh "${options[@]}" "$target" true </dev/null 2>"$directory/error" >/dev/null; }
dial_error() { if [ -n "${TAILKUBE_WAY:-}" ]; then all_said "$directory/error"; else tail -n 1 "$directory/error"; fi; }
# A jump host that is another machine says nothing about the host behind it.
another_jump() { grep -q 'tailkube-via-' "$directory/error"; }
another_machine() { grep -q 'Host key verification failed' "$directory/error" && ! another_jump; }
# Its server shows no key of that type, whichever machine it is.
another_key_type() { grep -q 'no matching host key type' "$directory/error"; }

# guard begin|alive|confirm: a new connection, which tells the host's guard that the host answers. Prints what the guard says:
# counting, kept, restored, or none where there is no guard.
guard() {
    local status=0 said
    said=$(
        options=(-o ServerAliveInterval=5 -o ServerAliveCountMax=3 ${patience[@]+"${patience[@]}"} "${options[@]}")
        on_host "$TAILKUBE_SHELL $1" 2>"$directory/error" <<'END'
guard=/var/lib/tailkube/guard/guard
if [ -e "$guard" ]; then exec bash "$guard" "$1"; else echo none; fi
END
    ) || status=$?
    refuse_sudo "$directory/error"
    # The login shell's startup files may have printed something, too, before or while it ran.
    grep -xE 'counting|kept|restored|none' <<<"$said" | tail -n 1
    return "$status"
}
# Options of a single connection, before all others.
patience=()

# refuse_sudo FILE: ends if sudo has refused the password. It is never tried again: an account may be locked after three.
refuse_sudo() {
    grep -q '^tailkube-sudo: refused' "$1" || return 0
    say "sudo at $where does not accept sudoPassword for $TAILKUBE_USER: $(grep -iE '^sudo:|sorry|sudoers|not allowed|may not run' "$1" | tail -n 3 | paste -sd ' ' -). Correct it: pulumi config set --secret sudoPassword."
    exit 1
}

# reach COMMAND...: until the command gets through to the host. A machine that boots takes minutes; one that refuses the key may still
# be setting up its users.
reach() {
    local attempt tries=${TAILKUBE_TRIES:-40}
    for ((attempt = 1; ; attempt++)); do
        if "$@" >/dev/null; then return; fi
        if another_jump; then
            say "a jump host on the way to $where does not have the host key that is in the config: $(dial_error)"
            exit 1
        fi
        if another_machine || another_key_type; then
            say "a different machine answers at $where than the one whose host key is in the stack: $(dial_error)"
            exit 1
        fi
        if [ "$attempt" -ge "$tries" ]; then
            say "$where cannot be logged in to as $TAILKUBE_USER: $(dial_error)"
            exit 1
        fi
        sleep 3
    done
}

# finish STATUS: prints the result of the host's script, or ends with its error.
finish() {
    if [ "$1" = 0 ]; then
        cat "$directory/result"
        return
    fi
    cat "$directory/script-error" >&2
    # What the stage itself has not explained.
    [ -s "$directory/script-error" ] || say "the stage ended with exit status $1 and said nothing"
    exit 1
}

# run_guarded: the host's script, with connections from outside while it runs and one after it. Returns the script's exit
# status; its output is in $directory/result and $directory/script-error. Ends with an error where the host was cut off.
run_guarded() {
    local script status answer='' since=$SECONDS
    on_host "$TAILKUBE_COMMAND" <&3 >"$directory/result" 2>"$directory/script-error" &
    script=$!
    while kill -0 "$script" 2>/dev/null; do
        sleep 1
        [ $((SECONDS - since)) -ge "$beat" ] || continue
        # The script's own connection may hang for longer than the host takes to come back.
        if [ "$(guard alive)" = restored ]; then kill "$script" 2>/dev/null; fi
        since=$SECONDS
    done
    wait "$script"
    status=$?
    since=$SECONDS
    until answer=$(guard confirm) && [ -n "$answer" ]; do
        if [ $((SECONDS - since)) -ge "$last" ]; then
            cat "$directory/script-error" >&2
            say "$where has not answered for $last s since this step changed the host's network ($(dial_error)). Its guard has not brought it back either: look at the host's console ('journalctl -u tailkube-guard', 'ip rule', 'ip route'), or reboot it. Then run again."
            exit 1
        fi
        sleep 2
    done
    if [ "$answer" = restored ]; then
        say "this step cut the host off from $where, so the host restored its network settings; it answers again. 'journalctl -u tailkube-guard' on the host says what was put back. Find out what took the network away, then run again."
        exit 1
    fi
    return "$status"
}
