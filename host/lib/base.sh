# shellcheck shell=bash
# requires: lib/messages
# What every stage has. RemoteScript sends, on stdin: the variables, this file, the files of the stage, all packed (unpack.sh), and one
# last line that calls main. Nothing runs before that line, so a connection that breaks while sending changes nothing.
#
# Given by RemoteScript: TK_NODE (node name), TK_STAGE (stage name), TK_LOCK, TK_LOCK_SECONDS (lock_host's). Our state on a host:
#   /etc/tailkube          settings that our units read
#   /usr/local/lib/tailkube  scripts that our units run
#   /var/lib/tailkube      records of what we changed (owned files, back-ups), which the cleanup goes by; sentinels
# shellcheck disable=SC2034,SC2153  # for the files after this one; TK_STAGE is given

export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l

TK_STATE=/var/lib/tailkube
TK_ETC=/etc/tailkube
TK_LIB=/usr/local/lib/tailkube
TK_RUN=/run/tailkube

# One stage at a time on a host: a run that was killed may have left its script running, and the next run must wait for
# it rather than work beside it. The kernel frees the lock with the process.
# A stage that declares `# lock: folder` runs beside others, one with `# lock: none` leaves no trace at all.
lock_host() {
    local lock=${TK_LOCK:-host}
    [ "$lock" != none ] || return 0
    mkdir -p "$TK_RUN"
    chmod 0700 "$TK_RUN"
    [ "$lock" = host ] || return 0
    exec 9>>"$TK_RUN/lock"
    flock -w "${TK_LOCK_SECONDS:-600}" 9 ||
        fail "$(grep . "$TK_RUN/lock" || echo 'another tailkube script') still runs on this host after ${TK_LOCK_SECONDS:-600} s ('fuser -v $TK_RUN/lock' names its processes). Wait for its end, or end it, and run again"
    printf 'stage %s of node %s, process %s, begun at %s,\n' "$TK_STAGE" "$TK_NODE" "$$" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$TK_RUN/lock"
}

# unexpected COMMAND: a command that no line of its own looks at has failed; bash would end the stage without saying where.
# The command as it is written: what its variables hold may be secret. A `fail` in a substitution has said it already.
unexpected() {
    [ "$BASH_SUBSHELL" = 0 ] && [ ! -e "$TK_RUN/failed.$$" ] || return 0
    if [ -n "$TK_FAILURE" ]; then
        printf 'a step failed unexpectedly, its command is: %s' "$(head -n 1 <<<"$1")" >"$TK_FAILURE"
        return 0
    fi
    printf 'tailkube: %s: %s: a step failed unexpectedly, its command is: %s\n' "$TK_NODE" "$TK_STAGE" "$(head -n 1 <<<"$1")" >&2
}

# main apply|remove: what the last line of the stdin calls. A stage defines both.
main() {
    set -euo pipefail
    lock_host
    rm -f "$TK_RUN/failed.$$"
    set -o errtrace
    trap 'unexpected "$BASH_COMMAND"' ERR
    case $1 in
    apply) apply ;;
    remove) remove ;;
    *) fail "unknown verb $1" ;;
    esac
}
