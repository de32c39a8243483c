# shellcheck shell=bash
# What every stage shares. HostScript sends, on stdin: the variables, this file, the files of the stage, and one last
# line that calls main. Nothing runs before that line, so a connection that breaks while sending changes nothing.
#
# Given by HostScript: TK_NODE (node name), TK_STAGE (stage name). State of ours on a host:
#   /etc/tailkube          settings that units of ours read
#   /usr/local/lib/tailkube  scripts that units of ours run
#   /var/lib/tailkube      what we changed (owned files, back-ups), so that `remove` can undo exactly that; sentinels

export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l

TK_STATE=/var/lib/tailkube
TK_ETC=/etc/tailkube
TK_LIB=/usr/local/lib/tailkube
TK_RUN=/run/tailkube
TK_CHANGED=()

# fail MESSAGE: the one line that the operator sees, on stderr, which Pulumi quotes.
# shellcheck disable=SC2153  # TK_STAGE is given
fail() {
    printf 'tailkube: %s: %s: %s\n' "$TK_NODE" "$TK_STAGE" "$*" >&2
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

# result [KEY VALUE]...: the script's only output on stdout, one JSON object; every value is a string.
result() {
    printf '{"changed":'
    json_list "${TK_CHANGED[@]}"
    while [ $# -gt 0 ]; do
        printf ',"%s":' "$1"
        json_string "$2"
        shift 2
    done
    printf '}\n'
}

# One stage at a time on a host: a run that was killed may have left its script running, and the next run must wait for
# it rather than work beside it. The kernel frees the lock with the process.
lock_host() {
    mkdir -p "$TK_RUN"
    chmod 0700 "$TK_RUN"
    exec 9>"$TK_RUN/lock"
    flock -w "${TK_LOCK_SECONDS:-600}" 9 || fail "another tailkube script still runs on this host after ${TK_LOCK_SECONDS:-600} s"
}

# poll SECONDS COMMAND...: tries each second until the command succeeds; 1 when the time is over.
poll() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 1
    done
}

# wait_for SECONDS WHAT COMMAND...: poll that fails the stage with WHAT.
wait_for() {
    local limit=$1 what=$2
    shift 2
    poll "$limit" "$@" || fail "$what (waited $limit s)"
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
            fail "no answer after $limit s to the question $question${ANSWER:+ (last error: $ANSWER)}"
        }
        sleep 1
    done
    rm -f "$errors"
}

# to_disk PATH...: files and folders survive a power cut from here on, with the entries of the folders they are in.
to_disk() {
    local path
    for path in "$@"; do
        # A symbolic link has nothing but its folder's entry.
        [ -L "$path" ] || sync -- "$path" || return
        sync -- "$(dirname "$path")" || return
    done
}

# record PATH TEXT: a file of ours below $TK_STATE, whole or not at all, and on the disk.
record() {
    { mkdir -p "$(dirname "$1")" && printf '%s\n' "$2" >"$1.new" && sync -- "$1.new" && mv -f -- "$1.new" "$1" && to_disk "$1"; } ||
        fail "cannot write $1: is the disk full or read-only?"
}

# owned PATH [STAGE]: whether a stage has recorded the path as its own.
owned() { grep -qsxF -- "$1" "$TK_STATE/owned.${2:-$TK_STAGE}"; }

# own PATH: written down, on the disk, before the file is made, so that a run killed in between still removes it.
own() {
    owned "$1" && return 0
    # Callers stand behind an `if`, where the shell does not stop at an error by itself.
    { mkdir -p "$TK_STATE" && printf '%s\n' "$1" >>"$TK_STATE/owned.$TK_STAGE" && to_disk "$TK_STATE/owned.$TK_STAGE"; } ||
        fail "cannot write below $TK_STATE: is the disk full or read-only?"
}

# back_up PATH: keeps the first version that we found, once.
back_up() {
    local copy=$TK_STATE/backup.$TK_STAGE$1
    [ -e "$1" ] && [ ! -e "$copy" ] || return 0
    { mkdir -p "$(dirname "$copy")" && cp -a -- "$1" "$copy.tailkube" && mv -- "$copy.tailkube" "$copy" && sync -f "$TK_STATE"; } ||
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

# install_text PATH MODE TEXT: writes the file if it differs. Returns 0 if it changed, 1 if not.
install_text() {
    local path=$1 mode=$2 text=$3
    if [ -f "$path" ] && [ "$(cat -- "$path"; printf x)" = "$text"$'\n'x ] && [ "$(stat -c %a "$path")" = "${mode#0}" ]; then
        return 1
    fi
    if [ -e "$path" ] && ! owned "$path"; then
        back_up "$path"
    fi
    make_parents "$path"
    own "$path"
    # Callers ask `if install_text`, where the shell does not stop at an error by itself.
    { printf '%s\n' "$text" >"$path.tailkube" && chmod "$mode" "$path.tailkube" && mv -f -- "$path.tailkube" "$path"; } ||
        fail "cannot write $path: is the disk full or read-only?"
    changed "wrote $path"
}

# install_binary SOURCE PATH: copies an executable if it differs. Returns 0 if it changed, 1 if not.
install_binary() {
    if cmp -s -- "$1" "$2"; then return 1; fi
    if [ -e "$2" ] && ! owned "$2"; then
        back_up "$2"
    fi
    make_parents "$2"
    own "$2"
    { install -m 0755 -- "$1" "$2.tailkube" && mv -f -- "$2.tailkube" "$2"; } || fail "cannot write $2: is the disk full or read-only?"
    changed "installed $2"
}

# undo_files: removes what this stage owns, newest first, and puts back what it replaced. Directories go only when empty.
undo_files() {
    local path backup=$TK_STATE/backup.$TK_STAGE
    if [ -f "$TK_STATE/owned.$TK_STAGE" ]; then
        while IFS= read -r path; do
            rm -f -- "$path.tailkube"
            if [ -d "$path" ] && [ ! -L "$path" ]; then
                rmdir -- "$path" 2>/dev/null || true
            else
                rm -f -- "$path"
            fi
        done < <(tac "$TK_STATE/owned.$TK_STAGE")
    fi
    if [ -d "$backup" ]; then
        # File by file: a copy of the folders would give the host's the modes of ours.
        while IFS= read -r -d '' path; do
            mkdir -p -- "$(dirname "/$path")"
            cp -a -- "$backup/$path" "/$path"
        done < <(find "$backup" ! -type d ! -name '*.tailkube' -printf '%P\0')
    fi
    # The record first: a clean-up that is repeated without the copies must not remove what has been put back.
    rm -f -- "$TK_STATE/owned.$TK_STAGE"
    rm -rf -- "$backup"
    rmdir -- "$TK_STATE" "$TK_ETC" "$TK_LIB" 2>/dev/null || true
}

# unit_start UNIT [restart]: enabled and running; restarted only when asked.
unit_start() {
    systemctl is-enabled --quiet "$1" 2>/dev/null || { systemctl enable --quiet "$1" && changed "enabled $1"; }
    if [ "${2:-}" = restart ]; then
        systemctl restart "$1" && changed "restarted $1"
    elif ! systemctl is-active --quiet "$1"; then
        systemctl start "$1" && changed "started $1"
    fi
}

# unit_stop UNIT: stopped and disabled; no complaint if it does not exist.
unit_stop() {
    systemctl disable --quiet --now "$1" 2>/dev/null || systemctl stop "$1" 2>/dev/null || true
    systemctl reset-failed "$1" 2>/dev/null || true
}

# apt_get_install ARGUMENT...: bounded, with one refresh of the lists when a package is not known.
apt_get_install() {
    local log=$TK_RUN/apt.log
    local options=(-o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 -o Acquire::Retries=2 -y -q --no-install-recommends)
    if ! apt-get install "${options[@]}" "$@" >"$log" 2>&1; then
        apt_refresh
        # An installation that was killed half-way refuses every further one.
        dpkg --configure -a >"$log" 2>&1 || true
        apt-get install "${options[@]}" "$@" >"$log" 2>&1 || fail "apt-get install $*: $(tail -n 3 "$log" | tr '\n' ' ')"
    fi
}

# apt_install PACKAGE...
apt_install() {
    apt_get_install "$@"
    changed "installed packages $*"
}

# apt_download PACKAGE...: into apt's cache and no further; held packages, too.
apt_download() { apt_get_install --download-only --allow-change-held-packages "$@"; }

# apt_version PACKAGE VERSION: the version of the package that its repositories have for an upstream one; fails if none.
apt_version() {
    apt-cache madison "$1" | awk -F ' *[|] *' -v wanted="$2" '
        {bare = $2; sub(/^[0-9]+:/, "", bare); upstream = bare; sub(/[~+-].*/, "", upstream)}
        bare == wanted || upstream == wanted {print $2; found = 1; exit}
        END {exit !found}'
}

# installed_version PACKAGE: the upstream version of an installed package, or nothing.
installed_version() {
    dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | awk '$1 == "installed" {v = $2; sub(/^[0-9]+:/, "", v); sub(/[~+-].*/, "", v); print v}'
}

# apt_install_version PACKAGE VERSION: that upstream version of a package, if it is not installed already.
apt_install_version() {
    local exact
    [ "$(installed_version "$1")" != "$2" ] || return 0
    exact=$(apt_version "$1" "$2") || { apt_refresh && exact=$(apt_version "$1" "$2"); } ||
        fail "this host's package repositories have no $1 $2; 'apt-cache madison $1' lists theirs"
    apt_install "$1=$exact"
}

# apt_refresh: the lists of the repositories anew.
apt_refresh() {
    apt-get update -q -o DPkg::Lock::Timeout=120 >"$TK_RUN/apt.log" 2>&1 || fail "apt-get update: $(tail -n 3 "$TK_RUN/apt.log" | tr '\n' ' ')"
}

# apt_repository NAME KEY_URL LINE: a package repository with its own key, for `signed-by` in LINE at
# /etc/apt/keyrings/NAME.gpg. The key may come armoured or not.
apt_repository() {
    local name=$1 url=$2 line=$3 key=/etc/apt/keyrings/$1.gpg
    for tool in curl gpg; do
        command -v "$tool" >/dev/null || apt_install ca-certificates curl gnupg
    done
    if [ ! -s "$key" ]; then
        make_parents "$key"
        own "$key"
        curl -fsSL --retry 3 --max-time 60 "$url" >"$TK_RUN/key" || fail "cannot fetch $url: is this host online? Offline hosts need tailkube:bundle"
        if grep -q 'BEGIN PGP' "$TK_RUN/key"; then gpg --batch --yes --dearmor -o "$key" "$TK_RUN/key"; else cp "$TK_RUN/key" "$key"; fi
        chmod 0644 "$key"
    fi
    if install_text "/etc/apt/sources.list.d/tailkube-$name.list" 0644 "$line"; then apt_refresh; fi
}

# log_tail FILE: the last lines of a tool's log in one line, for fail.
log_tail() {
    tail -n "${2:-8}" "$1" 2>/dev/null | tr -s '\n\t ' ' '
}

# unexpected COMMAND: a command that no line of its own looks at has failed; bash would end the stage without saying where.
# The command as it is written: what its variables hold may be secret. A `fail` in a substitution has said it already.
unexpected() {
    [ "$BASH_SUBSHELL" = 0 ] && [ ! -e "$TK_RUN/failed.$$" ] || return 0
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
