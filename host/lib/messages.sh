# shellcheck shell=bash
# What a script says: its errors, what it has changed, and its result.

TK_CHANGED=()

# shellcheck disable=SC2153  # TK_STAGE is given
fail_line() { printf 'tailkube: %s: %s: %s\n' "$TK_NODE" "$TK_STAGE" "$*" >&2; }

# A file for the message of `fail`, from where on something has to be put back before the operator hears of it.
TK_FAILURE=

# fail MESSAGE: the one line that the operator sees, on stderr, which Pulumi quotes.
fail() {
    if [ -n "$TK_FAILURE" ]; then printf '%s' "$*" >"$TK_FAILURE"; else fail_line "$*"; fi
    # For `unexpected`; $$ is the stage's shell in its subshells, too.
    : 2>/dev/null >"$TK_RUN/failed.$$" || true
    exit 1
}

# changed WHAT: remembered for the result, and said in the host's journal.
changed() {
    TK_CHANGED+=("$*")
    logger -t tailkube -- "$TK_STAGE: $*" 2>/dev/null || true
}

json_string() {
    local s=${1//\\/\\\\}
    s=${s//\"/\\\"}
    s=${s//$'\n'/\\n}
    s=${s//$'\t'/\\t}
    # JSON allows no control character in a text, and none of ours means one.
    s=${s//[[:cntrl:]]/}
    printf '"%s"' "$s"
}

# json_list ITEM...: a JSON array of strings.
json_list() {
    local item separator=
    printf '['
    for item in "$@"; do
        printf '%s' "$separator"
        json_string "$item"
        separator=,
    done
    printf ']'
}

# json_member KEY VALUE: a further member of a JSON object.
json_member() {
    printf ',"%s":' "$1"
    json_string "$2"
}

# result [KEY VALUE]...: the script's only output on stdout, one JSON object; every value is a string.
result() {
    printf '{"changed":'
    json_list "${TK_CHANGED[@]}"
    while [ $# -gt 0 ]; do
        json_member "$1" "$2"
        shift 2
    done
    printf '}\n'
}

# log_tail FILE [LINES]: the last lines of a tool's log in one line, for fail.
log_tail() {
    local text
    text=$(tail -n "${2:-8}" "$1" 2>/dev/null | tr -s '\n\t ' ' ')
    text=${text% }
    printf '%s' "${text:-it printed nothing}"
}
