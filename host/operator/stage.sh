# shellcheck shell=bash
# On the operator's machine: runs a stage that changes a host's network, and is done only when the host has been reached again
# from outside. Prints the stage's result. After ssh.sh.
# shellcheck disable=SC2154  # where and directory are ssh.sh's

# A machine that boots takes minutes; one that refuses the key may still be setting up its users.
for attempt in {1..40}; do
    if guard begin >/dev/null; then break; fi
    if another_jump; then
        say "a jump host on the way to $where is another machine than the one whose key is in the config: $(dial_error)"
        exit 1
    fi
    if another_machine || another_key_type; then
        say "another machine answers at $where than the one whose host key is in the stack: $(dial_error)"
        exit 1
    fi
    if [ "$attempt" = 40 ]; then
        say "$where cannot be logged in to as $TAILKUBE_USER: $(dial_error)"
        exit 1
    fi
    sleep 3
done

if run_guarded; then
    cat "$directory/result"
else
    status=$?
    cat "$directory/script-error" >&2
    # What the stage itself has not explained.
    [ -s "$directory/script-error" ] || say "the stage ended with exit status $status and said nothing"
    exit 1
fi
