# shellcheck shell=bash
# How a stage comes to a host: its files, and the scripts that it installs, are packed (components/hosts/packed-stage.ts). This is between
# the variables and the last line, which unpacks them, evaluates the stage's files and calls main.

# unpack NAME...: gives each variable its text instead of gzip in base64. Ends the script unless that text is whole, so that no part of one
# is evaluated. Builtins and pipes: no text is in a command line or in a file.
unpack() {
    local name text why
    for name in "$@"; do
        if { text=$(set -o pipefail && printf %s "${!name}" | base64 -d | gzip -dc); } 2>/dev/null; then
            printf -v "$name" %s "$text"
            continue
        fi
        why="base64 or gzip failed"
        type -P gzip >/dev/null || why="gzip is missing"
        type -P base64 >/dev/null || why="base64 is missing"
        printf 'tailkube: %s: %s: the host cannot unpack this stage: %s. Nothing was changed. Run "apt-get install gzip coreutils" on the host, then run again\n' "$TK_NODE" "$TK_STAGE" "$why" >&2
        exit 1
    done
}
