# shellcheck shell=bash
# Records of what a stage creates, on the disk before the change itself, for the next run or the cleanup.

# to_disk PATH...: files and folders survive a power cut from here on, with the entries of the folders they are in.
to_disk() {
    local path
    for path in "$@"; do
        # A symbolic link has nothing but its folder's entry.
        [ -L "$path" ] || sync -- "$path" || return
        sync -- "$(dirname "$path")" || return
    done
}

# put_private PATH COMMAND...: what COMMAND prints becomes that file: for root alone, whole or not at all, and on the disk.
put_private() {
    (umask 077 && mkdir -p "$(dirname "$1")" && "${@:2}" >"$1.new" && sync -- "$1.new" && mv -f -- "$1.new" "$1" && to_disk "$1")
}

# record PATH TEXT: a file of ours below $TK_STATE, whole or not at all, and on the disk.
record() {
    { mkdir -p "$(dirname "$1")" && printf '%s\n' "$2" >"$1.new" && sync -- "$1.new" && mv -f -- "$1.new" "$1" && to_disk "$1"; } ||
        fail "cannot write $1: is the disk full or read-only?"
}

# owned PATH [STAGE]: whether a stage has recorded the path as its own.
owned() { grep -qsxF -- "$1" "$TK_STATE/owned.${2:-$TK_STAGE}"; }

# remove_path PATH: a file or a link; a folder only when it is empty.
remove_path() { if [ -d "$1" ] && [ ! -L "$1" ]; then rmdir -- "$1" 2>/dev/null || true; else rm -f -- "$1"; fi; }

# own PATH: written down, on the disk, before the file is made, so that a run killed in between still removes it.
own() {
    owned "$1" || record_line "$TK_STATE/owned.$TK_STAGE" "$1"
}

# record_line PATH LINE: one more line of a record of ours, on the disk.
record_line() {
    # Callers stand behind an `if`, where the shell does not stop at an error by itself.
    { mkdir -p "$TK_STATE" && printf '%s\n' "$2" >>"$1" && to_disk "$1"; } || fail "cannot write below $TK_STATE: is the disk full or read-only?"
}

# remember NAME|PATH TEXT: a record below $TK_STATE that goes when the stage is undone.
remember() {
    local path=$TK_STATE/${1#"$TK_STATE/"}
    own "$path"
    record "$path" "$2"
}
