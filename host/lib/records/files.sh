# shellcheck shell=bash
# requires: lib/records/ownership
# Files that a stage writes on a host, and how the cleanup puts back what was there before.

# back_up PATH: keeps the first version that we found, once. For root alone: a closed folder may have been what kept it secret.
back_up() {
    local copy=$TK_STATE/backup.$TK_STAGE$1
    [ -e "$1" ] && [ ! -e "$copy" ] || return 0
    { mkdir -p "$TK_STATE" && (umask 077 && mkdir -p "$(dirname "$copy")") && cp -a -- "$1" "$copy.tailkube" && mv -- "$copy.tailkube" "$copy" && sync -f "$TK_STATE"; } ||
        fail "cannot keep a copy of $1 below $TK_STATE: is the disk full or read-only?"
}

# make_parents PATH: creates missing parent directories and remembers those that were missing.
make_parents() {
    local dir missing=()
    dir=$(dirname "$1")
    while [ ! -d "$dir" ]; do
        missing=("$dir" "${missing[@]}")
        dir=$(dirname "$dir")
    done
    for dir in "${missing[@]}"; do
        own "$dir"
        mkdir "$dir"
    done
}

# Units that read the file which is installed: `TK_READERS=UNIT install_text …`. unit_start, or read_again, then restarts them. The
# mark is there before the file is changed and goes with the restart: whatever ends a run in between, the next one does it. A
# boot takes the marks, and starts everything with the new files.
TK_READERS=
mark_readers() {
    local unit
    for unit in $TK_READERS; do
        { mkdir -p "$TK_RUN/restart" && : >"$TK_RUN/restart/$unit"; } || fail "cannot write below $TK_RUN: is it full or read-only?"
    done
    [[ $1 != */etc/systemd/system/* ]] || : >"$TK_RUN/reload" || fail "cannot write below $TK_RUN: is it full or read-only?"
}

# put_in_place PATH: PATH.tailkube takes its place, whole, and survives a power cut there.
put_in_place() { sync -- "$1.tailkube" && mv -f -- "$1.tailkube" "$1" && to_disk "$1"; }

# claim_path PATH: a copy is kept of what this stage has not made there, and the path is the stage's own from here on.
claim_path() {
    if [ -e "$1" ] && ! owned "$1"; then back_up "$1"; fi
    make_parents "$1"
    own "$1"
}

# install_text PATH MODE TEXT: writes the file if it differs. Returns 0 if it changed, 1 if not.
install_text() {
    local path=$1 mode=$2 text=$3
    if [ -f "$path" ] && [ "$(cat -- "$path" && printf x)" = "$text"$'\n'x ] && [ "$(stat -c %a "$path")" = "${mode#0}" ]; then
        return 1
    fi
    claim_path "$path"
    mark_readers "$path"
    # Callers ask `if install_text`, where the shell does not stop at an error by itself.
    # It may hold a secret, which must not lie open until its mode is set.
    # On the disk, for no later run looks at it again once the stage is done.
    { (umask 077 && printf '%s\n' "$text" >"$path.tailkube") && chmod "$mode" "$path.tailkube" && put_in_place "$path"; } ||
        fail "cannot write $path: is the disk full or read-only?"
    changed "wrote $path"
}

# release_path PATH: what this stage has made there goes, and what was there before comes back. Returns 0 if that changed anything, 1 if
# not. The records stay for the cleanup.
release_path() {
    local copy=$TK_STATE/backup.$TK_STAGE$1
    owned "$1" && { [ -e "$1" ] || [ -L "$1" ]; } || return 1
    if [ -e "$copy" ] || [ -L "$copy" ]; then
        if cmp -s -- "$copy" "$1" || { [ -L "$copy" ] && [ -L "$1" ]; }; then return 1; fi
        mark_readers "$1"
        { cp -a -- "$copy" "$1.tailkube" && mv -fT -- "$1.tailkube" "$1" && to_disk "$1"; } ||
            fail "cannot write $1: is the disk full or read-only?"
    else
        mark_readers "$1"
        { rm -f -- "$1" && to_disk "$(dirname "$1")"; } || fail "cannot remove $1: is the disk read-only?"
    fi
    changed "took $1 back"
}

# install_binary SOURCE PATH: copies an executable if it differs. Returns 0 if it changed, 1 if not.
install_binary() {
    if cmp -s -- "$1" "$2"; then return 1; fi
    claim_path "$2"
    mark_readers "$2"
    { install -m 0755 -- "$1" "$2.tailkube" && put_in_place "$2"; } || fail "cannot write $2: is the disk full or read-only?"
    changed "installed $2"
}

# clean_up_files: removes what this stage owns, newest first, and puts back what it replaced. What has to run between the two
# halves, such as the restart of a service with its former configuration, stands between calls of the two.
clean_up_files() {
    restore_files
    forget_files
}

# restore_files: the host's files as they were; the records stay, so that a run that is killed before forget_files does all of
# it again. Directories go only when empty.
restore_files() {
    local path backup=$TK_STATE/backup.$TK_STAGE
    local -A folders=()
    if [ -f "$TK_STATE/owned.$TK_STAGE" ]; then
        while IFS= read -r path; do
            # Records decide what is done here: they go last.
            [[ $path != "$TK_STATE"/* ]] || continue
            rm -f -- "$path.tailkube"
            # What has a copy is replaced, so that the file is there at all times.
            if [ -e "$backup$path" ] || [ -L "$backup$path" ]; then continue; fi
            remove_path "$path"
            folders[${path%/*}]=1
        done < <(tac "$TK_STATE/owned.$TK_STAGE")
    fi
    if [ -d "$backup" ]; then
        # File by file: a copy of the folders would give the host's the modes of ours.
        while IFS= read -r -d '' path; do
            path=${path#"$backup"}
            mkdir -p -- "$(dirname "$path")"
            cp -a -- "$backup$path" "$path.tailkube"
            mv -fT -- "$path.tailkube" "$path"
            to_disk "$path"
        done < <(find "$backup" ! -type d ! -name '*.tailkube' -print0)
    fi
    for path in "${!folders[@]}"; do [ ! -d "$path" ] || sync -- "$path"; done
}

# forget_files: the records and copies of this stage, in an order in which a repeated clean-up neither removes what has been
# put back nor leaves anything: after the first step nothing is owned but the records themselves.
forget_files() {
    local path list=$TK_STATE/owned.$TK_STAGE
    if [ -f "$list" ]; then
        { grep -F -- "$TK_STATE/" "$list" || true; } >"$list.new"
        sync -- "$list.new"
        mv -f -- "$list.new" "$list"
        to_disk "$list"
    fi
    rm -rf -- "$TK_STATE/backup.$TK_STAGE"
    if [ -f "$list" ]; then
        while IFS= read -r path; do
            rm -f -- "$path.tailkube" "$path.new"
            remove_path "$path"
        done < <(tac "$list")
        rm -f -- "$list"
    fi
    rmdir -- "$TK_STATE" "$TK_ETC" "$TK_LIB" 2>/dev/null || true
}
