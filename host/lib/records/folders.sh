# shellcheck shell=bash
# requires: lib/records/ownership
# Folders that others fill: what was in them before, and removing the rest without touching what is mounted there.

# Where the kernel lists what is mounted.
TK_MOUNTS=/proc/self/mountinfo

# mounts_below FOLDER: what is mounted below it, newest first, each ended by NUL: the kernel writes blanks and line breaks as
# octal numbers. An empty name comes last: without it the answer is not whole.
mounts_below() {
    local i point points=()
    while read -r _ _ _ _ point _; do
        printf -v point '%b.' "${point//\\/\\0}"
        [[ $point != "${1%/}"/* ]] || points+=("${point%.}")
    done <"$TK_MOUNTS" || return
    for ((i = ${#points[@]} - 1; i >= 0; i--)); do printf '%s\0' "${points[i]}"; done
    printf '\0'
}

# unmount_below FOLDER: nothing is mounted below it afterwards, or the stage fails: what is deleted there would be gone on
# another disk. A mount that the kubelet has begun, in a scope of its own, may come after the kubelet's end.
unmount_below() {
    local folder point points before='' end=$((SECONDS + 10))
    folder=$(realpath -e -- "$1" 2>/dev/null) || return 0
    while true; do
        mapfile -d '' -t points < <(mounts_below "$folder")
        [[ ${#points[@]} -gt 0 && -z ${points[-1]} ]] || fail "cannot read what is mounted below $1 ($TK_MOUNTS), so nothing there was deleted"
        unset 'points[-1]'
        [ ${#points[@]} -gt 0 ] || return 0
        [ "$SECONDS" -lt "$end" ] || fail "cannot unmount ${points[0]}, so nothing below $1 was deleted. Unmount it (see 'fuser -vm ${points[0]}'), and run again"
        [ "${points[*]}" != "$before" ] || sleep 1
        before=${points[*]}
        for point in "${points[@]}"; do
            timeout --kill-after=5 30 umount -- "$point" 2>/dev/null || timeout --kill-after=5 30 umount -l -- "$point" 2>/dev/null || true
        done
    done
}

# The record of what was below a folder before anything of ours was.
before_record() { printf '%s/before%s' "$TK_STATE" "${1//\//.}"; }

# remember_folder FOLDER: notes what is below it, once, before the first of ours is: clear_folder keeps that.
remember_folder() {
    local list
    list=$(before_record "$1")
    [ ! -e "$list" ] || return 0
    own "$list"
    { { [ ! -d "$1" ] || find "$1/" -xdev -mindepth 1 -printf '%P\0'; } >"$list.new" && sync -- "$list.new" && mv -f -- "$list.new" "$list" && to_disk "$list"; } ||
        fail "cannot note what is in $1: is the disk full or read-only?"
}

# clear_folder FOLDER: removes what came into it since remember_folder, and no other file system's content. The folder stays.
clear_folder() {
    local list path
    local -A kept=()
    list=$(before_record "$1")
    [ -d "$1" ] || return 0
    unmount_below "$1"
    # A host of an earlier version of this program has no such record; then the folder has been the cluster's alone.
    if [ -s "$list" ]; then
        while IFS= read -r -d '' path; do kept[$path]=1; done <"$list"
    fi
    if [ ${#kept[@]} = 0 ]; then
        find "$1/" -xdev -mindepth 1 -delete
        return
    fi
    while IFS= read -r -d '' path; do
        [ -z "${kept[$path]:-}" ] || continue
        remove_path "$1/$path"
    done < <(find "$1/" -xdev -mindepth 1 -depth -printf '%P\0')
}
