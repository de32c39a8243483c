# shellcheck shell=bash
# On the operator's machine: runs a stage that cannot cut the host off by OpenSSH, where components/hosts/remote-script.ts cannot use the
# provider's own connection. Prints the stage's result. After ssh.sh.
# shellcheck disable=SC2154  # where and directory are ssh.sh's

# A machine that boots takes minutes; one that refuses the key may still be setting up its users.
tries=${TAILKUBE_TRIES:-40}
for ((attempt = 1; ; attempt++)); do
    if dial; then break; fi
    if another_jump; then
        say "a jump host on the way to $where is another machine than the one whose key is in the config: $(dial_error)"
        exit 1
    fi
    if another_machine || another_key_type; then
        say "another machine answers at $where than the one whose host key is in the stack: $(dial_error)"
        exit 1
    fi
    if [ "$attempt" -ge "$tries" ]; then
        say "$where cannot be logged in to as $TAILKUBE_USER: $(dial_error)"
        exit 1
    fi
    sleep 3
done

if (on_host "$TAILKUBE_COMMAND") <&3 >"$directory/result" 2>"$directory/script-error"; then
    cat "$directory/result"
else
    status=$?
    refuse_sudo "$directory/script-error"
    cat "$directory/script-error" >&2
    # What the stage itself has not explained.
    [ -s "$directory/script-error" ] || say "the stage ended with exit status $status and said nothing"
    exit 1
fi
