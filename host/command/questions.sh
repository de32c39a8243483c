# shellcheck shell=bash
# Questions of the command `tailkube` to a host: all at the same time, each with a time limit, nothing written to the host's disk. The
# answers are one JSON document, a member a question: what it printed, in base64 because that may be anything, how it ended, and its
# errors. The operator's machine reads them (command/answers.ts). No lib is needed.
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Bound on an answer, in bytes.
MOST=${MOST:-4000000}
ASKED=()

# answer_of NAME SECONDS COMMAND...: the member. It is held in memory until it is whole, so that no question waits for the reader.
answer_of() {
    local name=$1 seconds=$2 member
    shift 2
    member=$(
        exec 3>&1
        printf '"%s":{"output":"' "$name"
        status=0
        errors=$({
            timeout --kill-after=2 "$seconds" "$@" 3>&- | head -c "$MOST" | base64 -w0 >&3
            exit "${PIPESTATUS[0]}"
        } 2>&1 </dev/null) || status=$?
        printf '","status":%d,"error":"%s"}' "$status" "$(printf '%s' "$errors" | tail -c 2000 | base64 -w0)"
    )
    printf '%s' "$member"
}

# question NAME SECONDS COMMAND...: begins to ask. COMMAND may be a function of the same file that calls no other.
question() {
    local fd name=$1 seconds=$2
    shift 2
    if [ "$(type -t "$1")" = function ]; then
        set -- bash -c "$(declare -f "$1")"$'\n"$@"' - "$@"
    fi
    exec {fd}< <(answer_of "$name" "$seconds" "$@")
    ASKED+=("$fd")
}

# print_answers: waits for all of them.
print_answers() {
    local fd
    printf '{"tailkube":1'
    for fd in "${ASKED[@]}"; do
        printf ','
        cat <&"$fd"
    done
    printf '}\n'
}
