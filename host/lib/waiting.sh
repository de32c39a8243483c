# shellcheck shell=bash
# Waiting, questions with three answers (yes, no, none), and changes that are tried again.

# poll SECONDS COMMAND...: tries each second until the command succeeds; 1 when the time is over. NO_ANSWER then names the question
# that the last try had no answer to, for a message, if COMMAND says so by `unanswered`; else it is empty.
NO_ANSWER=
poll() {
    local end=$((SECONDS + $1))
    shift
    until
        NO_ANSWER=
        "$@" >/dev/null 2>&1
    do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 1
    done
}

# unanswered QUESTION: for poll's commands, where a question is not answered: `said=$(...) || unanswered "..." || return`.
unanswered() {
    NO_ANSWER="; no answer to the question $1"
    return 1
}

# wait_for SECONDS WHAT COMMAND...: poll that fails the stage with WHAT.
wait_for() {
    local limit=$1 what=$2
    shift 2
    poll "$limit" "$@" || fail "$what (waited $limit s$NO_ANSWER)"
}

# ask SECONDS QUESTION COMMAND...: asks until there is an answer. COMMAND answers by exiting with 0, and ANSWER is then what it
# printed, which may be nothing. Any other exit status is no answer: ask tries again each second and fails the stage with
# QUESTION when the time is over, so that "unknown" never becomes "no". It sets a variable instead of printing because
# `fail` in a command substitution ends only the subshell.
ANSWER=
ask() {
    local limit=$1 question=$2 end=$((SECONDS + $1)) errors=$TK_RUN/question.$BASHPID
    shift 2
    until ANSWER=$("$@" 2>"$errors"); do
        [ "$SECONDS" -lt "$end" ] || {
            ANSWER=$(log_tail "$errors" 3)
            rm -f "$errors"
            fail "no answer after $limit s to the question $question (last error: $ANSWER)"
        }
        sleep 1
    done
    rm -f "$errors"
}

# retry SECONDS FAILURE COMMAND...: a change that does no harm when it is made twice, repeated until it succeeds; fails the
# stage with FAILURE and the last error. COMMAND must not read stdin.
retry() {
    local limit=$1 failure=$2 end=$((SECONDS + $1)) errors=$TK_RUN/retry.$BASHPID said
    shift 2
    until "$@" >/dev/null 2>"$errors"; do
        [ "$SECONDS" -lt "$end" ] || {
            said=$(log_tail "$errors" 3)
            rm -f "$errors"
            fail "$failure (tried for $limit s): $said"
        }
        sleep 1
    done
    rm -f "$errors"
}

# until_none SECONDS WHAT QUESTION LIST REMOVE: removes what LIST prints, a line each, and asks again until it prints nothing: a
# removal counts when it is seen, not when it was tried. Both are functions; LIST answers as `ask` has it, REMOVE gets a line.
# Fails the stage with WHAT and the first line that stays.
until_none() {
    local end='' what=$2 question=$3 list=$4 remove=$5 item items=
    while true; do
        ask "$1" "$question" "$list"
        [ -n "$ANSWER" ] || return 0
        # The first answer may have come late, when nothing has been tried yet.
        end=${end:-$((SECONDS + $1))}
        [ "$SECONDS" -lt "$end" ] || fail "$what: ${ANSWER%%$'\n'*}"
        [ "$ANSWER" != "$items" ] || sleep 1
        items=$ANSWER
        while IFS= read -r item; do "$remove" "$item" >/dev/null 2>&1 </dev/null || true; done <<<"$items"
    done
}
