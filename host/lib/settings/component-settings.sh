# shellcheck shell=bash
# requires: lib/security/api-server-files lib/control-plane/certificates lib/waiting
# The control plane's own settings, as a user has them in the config: arguments, which kubeadm's documents have, too, and files.
# Given: TK_ARGUMENTS ("PROCESS --NAME=VALUE" lines), TK_ETCD_ARGUMENTS (those of etcd), TK_EXTRA_FILES ("PATH BASE64" lines, paths
# below $API_SERVER_FILES, secret). Each may be empty.

# What etcd runs with. Its manifest differs on each control plane, so that it cannot say this.
ETCD_ARGUMENTS=$TK_STATE/etcd-arguments
EXTRA_FOLDERS=("$API_SERVER_FILES/api-server" "$API_SERVER_FILES/controller-manager" "$API_SERVER_FILES/scheduler")

# extra_file_is PATH BASE64
extra_file_is() { [ -f "$API_SERVER_FILES/$1" ] && [ "$(base64 -w 0 "$API_SERVER_FILES/$1")" = "$2" ]; }

# found_extra_files: what is there, a path below $API_SERVER_FILES in each line.
found_extra_files() {
    local folder
    for folder in "${EXTRA_FOLDERS[@]}"; do
        [ ! -d "$folder" ] || find "$folder" -type f -printf "${folder##*/}/%P\n"
    done
}

# Through a pipe: bash may write a here-string to the disk.
extra_files() { printf '%s\n' "$TK_EXTRA_FILES"; }
is_declared_file() { extra_files | awk -v path="$1" '$1 == path {found = 1} END {exit !found}'; }

has_wanted_extra_files() {
    local path data
    while read -r path data; do
        [ -z "$path" ] || extra_file_is "$path" "$data" || return
    done < <(extra_files)
    while read -r path; do
        is_declared_file "$path" || return
    done < <(found_extra_files)
}

extra_file_content() { printf %s "$1" | base64 -d; }

# For root alone: they may hold secrets.
install_extra_files() {
    local path data file
    while read -r path data; do
        if [ -z "$path" ] || extra_file_is "$path" "$data"; then continue; fi
        file=$API_SERVER_FILES/$path
        put_private "$file" extra_file_content "$data" || fail "cannot write $file: is the disk full or read-only?"
        changed "wrote $file"
    done < <(extra_files)
}

# After no component asks for them.
forget_extra_files() {
    local path folder
    while read -r path; do
        if is_declared_file "$path"; then continue; fi
        rm -f -- "$API_SERVER_FILES/$path"
        changed "removed $API_SERVER_FILES/$path"
    done < <(found_extra_files)
    for folder in "${EXTRA_FOLDERS[@]}"; do rmdir -- "$folder" 2>/dev/null || true; done
}

has_wanted_etcd_arguments() { [ "$(cat "$ETCD_ARGUMENTS" 2>/dev/null)" = "$TK_ETCD_ARGUMENTS" ]; }
remember_etcd_arguments() {
    if has_wanted_etcd_arguments; then return 0; fi
    remember "$ETCD_ARGUMENTS" "$TK_ETCD_ARGUMENTS"
}

# find_program PROCESS: sets PROGRAM to that component's own program as it runs now, out of its image; to nothing if it does not.
find_program() {
    local pid
    PROGRAM=
    ask_container "$1"
    [ -n "$ANSWER" ] || return 0
    ask 60 "which process the container of $1 has, to containerd" container_process "$ANSWER"
    pid=$ANSWER
    [ -n "$pid" ] || return 0
    [ "$(basename -- "$(readlink "/proc/$pid/exe" 2>/dev/null)" ' (deleted)')" = "$1" ] || return 0
    PROGRAM=/proc/$pid/exe
}

# try_arguments PROCESS ARGUMENT...: before any change, whether its program knows the arguments and their types, and the feature
# gates. With --version it does nothing else. What it cannot say, its restart will.
try_arguments() {
    local process=$1 said status=0
    find_program "$process"
    [ -n "$PROGRAM" ] || return 0
    said=$(timeout 60 "$PROGRAM" "${@:2}" --version 2>&1 </dev/null) || status=$?
    case $status in 0 | 124 | 126 | 127 | 137) return 0 ;; esac
    said=$(grep -m 1 -oE '(unknown|invalid|unrecognized|flag provided|parse error|cannot|error verifying|parsing|bad flag).*' <<<"$said") || true
    fail "$process rejects its arguments, so nothing was changed: ${said:-it gives no reason}. Correct its extraArgs in the group kubernetes, or kubernetes.featureGates"
}

check_arguments() {
    local process arguments
    for process in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        mapfile -t arguments < <(sed -n "s/^$process //p" <<<"$TK_ARGUMENTS")
        [ ${#arguments[@]} = 0 ] || try_arguments "$process" "${arguments[@]}"
    done
}

# component_error POD: why its last container ended, for a message; nothing where a file's content could be in it.
component_error() {
    local log
    [ -z "$TK_EXTRA_FILES" ] || return 0
    log=$(find "/var/log/pods/kube-system_$1-${TK_NODE}_"*"/$1" -name '*.log' -printf '%T@ %p\n' 2>/dev/null | sort -rn | sed -n '1s/^[^ ]* //p') || return 0
    [ -n "$log" ] || return 0
    log=$(tail -n 50 "$log" | grep -E 'command failed|panic:|"level":"fatal"|Error: ' | tail -n 1 | sed -E 's/^[^ ]+ (stdout|stderr) [FP] //' | cut -c 1-400) || return 0
    printf ': %s' "$log"
}
