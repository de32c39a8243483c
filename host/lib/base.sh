# shellcheck shell=bash
# What every stage shares. HostScript sends, on stdin: the variables, this file, the files of the stage, and one last
# line that calls main. Nothing runs before that line, so a connection that breaks while sending changes nothing.
#
# Given by HostScript: TK_NODE (node name), TK_STAGE (stage name), TK_LOCK, TK_LOCK_SECONDS (lock_host's). State of ours on a host:
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
    owned "$1" || record_line "$TK_STATE/owned.$TK_STAGE" "$1"
}

# record_line PATH LINE: one more line of a record of ours, on the disk.
record_line() {
    # Callers stand behind an `if`, where the shell does not stop at an error by itself.
    { mkdir -p "$TK_STATE" && printf '%s\n' "$2" >>"$1" && to_disk "$1"; } || fail "cannot write below $TK_STATE: is the disk full or read-only?"
}

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

# reload_units: makes systemd read its units again if this program has changed one since.
reload_units() {
    [ -e "$TK_RUN/reload" ] || return 0
    systemctl daemon-reload || fail "systemd does not read its units again ('systemctl daemon-reload' on this host says why), so what was changed is not in force"
    rm -f -- "$TK_RUN/reload"
}

# read_again UNIT restart|reload: a unit that runs, if what it reads has changed since it did.
read_again() {
    [ -e "$TK_RUN/restart/$1" ] || return 0
    systemctl "$2" "$1" || fail "systemctl cannot $2 $1, so what was written for it is not in force; see 'systemctl status $1'"
    rm -f -- "$TK_RUN/restart/$1"
    changed "${2}ed $1"
}

# put_in_place PATH: PATH.tailkube takes its place, whole, and survives a power cut there.
put_in_place() { sync -- "$1.tailkube" && mv -f -- "$1.tailkube" "$1" && to_disk "$1"; }

# install_text PATH MODE TEXT: writes the file if it differs. Returns 0 if it changed, 1 if not.
install_text() {
    local path=$1 mode=$2 text=$3
    if [ -f "$path" ] && [ "$(cat -- "$path" && printf x)" = "$text"$'\n'x ] && [ "$(stat -c %a "$path")" = "${mode#0}" ]; then
        return 1
    fi
    if [ -e "$path" ] && ! owned "$path"; then
        back_up "$path"
    fi
    make_parents "$path"
    own "$path"
    mark_readers "$path"
    # Callers ask `if install_text`, where the shell does not stop at an error by itself.
    # It may hold a secret, which must not lie open until its mode is set.
    # On the disk, for no later run looks at it again once the stage is done.
    { (umask 077 && printf '%s\n' "$text" >"$path.tailkube") && chmod "$mode" "$path.tailkube" && put_in_place "$path"; } ||
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
    mark_readers "$2"
    { install -m 0755 -- "$1" "$2.tailkube" && put_in_place "$2"; } || fail "cannot write $2: is the disk full or read-only?"
    changed "installed $2"
}

# undo_files: removes what this stage owns, newest first, and puts back what it replaced. What has to run between the two
# halves, such as the restart of a service with its former configuration, stands between calls of the two.
undo_files() {
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
            if [ -d "$path" ] && [ ! -L "$path" ]; then
                rmdir -- "$path" 2>/dev/null || true
            else
                rm -f -- "$path"
            fi
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
            if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir -- "$path" 2>/dev/null || true; else rm -f -- "$path"; fi
        done < <(tac "$list")
        rm -f -- "$list"
    fi
    rmdir -- "$TK_STATE" "$TK_ETC" "$TK_LIB" 2>/dev/null || true
}

# Where the kernel lists what is mounted.
TK_MOUNTS=/proc/self/mountinfo

# mounts_below FOLDER: what is mounted below it, newest first, each ended by NUL: the kernel writes blanks and line breaks as
# octal numbers. Fails without an answer.
mounts_below() {
    local i point points=()
    while read -r _ _ _ _ point _; do
        printf -v point '%b.' "${point//\\/\\0}"
        [[ $point != "${1%/}"/* ]] || points+=("${point%.}")
    done <"$TK_MOUNTS" || return
    for ((i = ${#points[@]} - 1; i >= 0; i--)); do printf '%s\0' "${points[i]}"; done
}

# unmount_below FOLDER: nothing is mounted below it afterwards, or the stage fails: what is deleted there would be gone on
# another disk. A mount that the kubelet has begun, in a scope of its own, may come after the kubelet's end.
unmount_below() {
    local folder point points before='' end=$((SECONDS + 10))
    folder=$(realpath -e -- "$1" 2>/dev/null) || return 0
    while true; do
        mapfile -d '' -t points < <(mounts_below "$folder")
        wait "$!" || fail "cannot read what is mounted below $1 ($TK_MOUNTS), so nothing there was deleted"
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
        path=$1/$path
        if [ -d "$path" ] && [ ! -L "$path" ]; then rmdir -- "$path" 2>/dev/null || true; else rm -f -- "$path"; fi
    done < <(find "$1/" -xdev -mindepth 1 -depth -printf '%P\0')
}

# foreign_kubernetes: what of another cluster is on the host, in words; nothing if there is none. For hosts that are not ours.
foreign_kubernetes() {
    local path
    for path in /etc/kubernetes/kubelet.conf /etc/kubernetes/admin.conf /var/lib/rancher /var/snap/microk8s /var/lib/k0s; do
        [ ! -e "$path" ] || printf '%s ' "$path"
    done
    # kubeadm makes these, and takes what is there for its own. kubelet's package keeps a folder by an empty file.
    find /etc/kubernetes/manifests /etc/kubernetes/pki -mindepth 1 ! -type d ! -name .kubelet-keep -printf '%p ' 2>/dev/null | head -c 200 || true
}

# foreign_containers: those that containerd holds in Kubernetes' own namespace, where kubelet and `remove` end all there are.
foreign_containers() {
    local runs
    command -v ctr >/dev/null || return 0
    runs=$(unit_answer containerd.service) || return
    [ "$runs" = yes ] || return 0
    timeout 20 ctr -n k8s.io containers ls -q | tr '\n' ' ' | cut -c 1-200
}

# distribution: the name that package repositories have for this host's: debian, ubuntu or raspbian. Derivatives (Armbian) name
# themselves by the distribution that they are made of.
distribution() (
    # shellcheck source=/dev/null
    . /etc/os-release
    case $ID in
    debian | ubuntu | raspbian) echo "$ID" ;;
    *) case ${ID_LIKE:-} in *ubuntu*) echo ubuntu ;; *) echo debian ;; esac ;;
    esac
)
# shellcheck source=/dev/null
codename() (. /etc/os-release && echo "$VERSION_CODENAME")

# dpkg_answer NO ARGUMENT...: what dpkg-query prints; nothing where it says NO. Fails without an answer.
dpkg_answer() {
    local text no=$1
    shift
    text=$(dpkg-query "$@" 2>&1) || {
        [[ $text != *"$no"* ]] || return 0
        printf '%s\n' "$text" >&2
        return 1
    }
    printf '%s\n' "$text"
}

# package_of PATH: the installed package that a file is of; nothing if of none. Fails without an answer.
package_of() {
    local text
    text=$(dpkg_answer 'no path found matching' -S "$(readlink -f -- "$1")") || return
    sed -n '/^diversion /!{s/[:,].*//p;q}' <<<"$text"
}

# unit_answer UNIT: prints whether it runs, yes or no; no for a unit that does not exist. Fails if systemd does not answer:
# `systemctl is-active` then looks as if the answer were "no".
unit_answer() {
    local state
    state=$(systemctl show --property=ActiveState --value -- "$1") && [ -n "$state" ] || return
    case $state in active | reloading) echo yes ;; *) echo no ;; esac
}

# unit_runs UNIT: whether it runs now.
unit_runs() {
    ask 30 "whether $1 runs (systemctl show $1)" unit_answer "$1"
    [ "$ANSWER" = yes ]
}

# unit_start UNIT [restart]: enabled and running; restarted when asked, and when what it reads has changed since it started.
unit_start() {
    reload_units
    systemctl is-enabled --quiet "$1" 2>/dev/null || {
        systemctl enable --quiet "$1" || fail "systemctl cannot enable $1, so it would not start with the host"
        changed "enabled $1"
    }
    if [ "${2:-}" = restart ] || [ -e "$TK_RUN/restart/$1" ]; then
        systemctl restart "$1" && rm -f -- "$TK_RUN/restart/$1" && changed "restarted $1"
    elif ! unit_runs "$1"; then
        systemctl start "$1" && changed "started $1"
    fi
}

# unit_stop UNIT: stopped and disabled; no complaint if it does not exist.
unit_stop() {
    local tries folder
    for tries in 1 2 3; do
        if systemctl disable --quiet --now "$1" 2>/dev/null; then break; fi
        for folder in /etc /run /usr/local/lib /usr/lib /lib; do
            [ -e "$folder/systemd/system/$1" ] || continue
            [ "$tries" -lt 3 ] || fail "systemctl can neither stop nor disable $1, so it would start again with the host; see 'systemctl status $1'"
            sleep 1
            continue 2
        done
        # A unit without a file, such as a transient one.
        systemctl stop "$1" 2>/dev/null || true
        break
    done
    systemctl reset-failed "$1" 2>/dev/null || true
}

# What every call of apt-get has. A host's own configuration files stay as they are, without a question.
APT_OPTIONS=(-o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 -o Acquire::Retries=2
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -y -q --no-install-recommends)

# apt_removals ARGUMENT...: the packages that an installation would remove, each with a blank behind it. Fails without an answer.
apt_removals() { apt-get install --simulate "${APT_OPTIONS[@]}" "$@" </dev/null | awk '$1 == "Remv" {printf "%s ", $2}'; }

# apt_get_install ARGUMENT...: bounded, with one refresh of the lists when a package is not known. It never removes a package.
apt_get_install() {
    local log=$TK_RUN/apt.log removed
    if ! apt-get install "${APT_OPTIONS[@]}" --no-remove "$@" >"$log" 2>&1 </dev/null; then
        # An installation that was killed half-way refuses every further one.
        dpkg --configure -a --force-confdef --force-confold >"$log" 2>&1 </dev/null || true
        apt_refresh
        if ! apt-get install "${APT_OPTIONS[@]}" --no-remove "$@" >"$log" 2>&1 </dev/null; then
            removed=$(apt_removals "$@" 2>/dev/null) || true
            [ -z "$removed" ] || fail "apt-get install $* would remove ${removed% } from this host, and tailkube removes no package. Remove it yourself if nothing needs it, or change the versions that the config asks for"
            fail "apt-get install $*: $(log_tail "$log" 3)"
        fi
    fi
}

# package_is_ours PACKAGE [STAGE]: whether a stage has recorded that it installs the package.
package_is_ours() { grep -qsxF -- "$1" "$TK_STATE/packages.${2:-$TK_STAGE}"; }

# record_packages PACKAGE[=VERSION]...: those that are not there yet, before they are.
record_packages() {
    local package record=$TK_STATE/packages.$TK_STAGE
    for package in "$@"; do
        package=${package%%=*}
        ask_version "$package"
        if [ -n "$ANSWER" ] || package_is_ours "$package"; then continue; fi
        own "$record"
        record_line "$record" "$package"
    done
}

# apt_install PACKAGE...: recorded first.
apt_install() {
    record_packages "$@"
    apt_get_install "$@"
    changed "installed packages $*"
}

# apt_replace PACKAGE...: the same of packages that take the place of others. The caller has looked which.
apt_replace() {
    local log=$TK_RUN/apt.log
    record_packages "$@"
    apt-get install "${APT_OPTIONS[@]}" "$@" >"$log" 2>&1 </dev/null || fail "apt-get install $*: $(log_tail "$log" 3)"
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

# installed_version PACKAGE: the upstream version of an installed package, or nothing. Fails without an answer.
installed_version() {
    local text
    # shellcheck disable=SC2016  # dpkg's own variables
    text=$(dpkg_answer 'no packages found matching' -W -f '${db:Status-Status} ${Version}' "$1") || return
    awk '$1 == "installed" {v = $2; sub(/^[0-9]+:/, "", v); sub(/[~+-].*/, "", v); print v}' <<<"$text"
}
ask_version() { ask 30 "which version of the package $1 is installed (dpkg-query -W $1)" installed_version "$1"; }

# apt_install_version PACKAGE VERSION: that upstream version of a package, if it is not installed already.
apt_install_version() {
    local exact
    ask_version "$1"
    [ "$ANSWER" != "$2" ] || return 0
    exact=$(apt_version "$1" "$2") || { apt_refresh && exact=$(apt_version "$1" "$2"); } ||
        fail "this host's package repositories have no $1 $2; 'apt-cache madison $1' lists theirs"
    apt_install "$1=$exact"
}

# The repositories of apt_repository: "FILE URL" of each one's key.
APT_KEYS=()

apt_update() {
    local end=$((SECONDS + 180))
    until apt-get update -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 >"$TK_RUN/apt.log" 2>&1 </dev/null; do
        # A first boot and apt's own timer lock the lists for a while, for which apt-get has no time-out.
        grep -q 'Could not get lock' "$TK_RUN/apt.log" && [ "$SECONDS" -lt "$end" ] || return 1
        sleep 2
    done
}

# apt_refresh: the lists of the repositories anew, and first of all the keys that apt rejects: a key may be renewed at any time.
apt_refresh() {
    local status=0 key
    apt_update || status=$?
    if [ ${#APT_KEYS[@]} -gt 0 ] && grep -qE 'NO_PUBKEY|EXPKEYSIG|REVKEYSIG|KEYEXPIRED|BADSIG' "$TK_RUN/apt.log"; then
        # apt-get ends well on some of these, and goes on with the lists that it has.
        for key in "${APT_KEYS[@]}"; do install_apt_key "${key%% *}" "${key#* }"; done
        status=0
        apt_update || status=$?
    fi
    [ "$status" = 0 ] || fail "apt-get update failed: $(log_tail "$TK_RUN/apt.log" 3)"
}

# gpg's own folder would be made in root's home.
gpg_here() { (umask 077 && mkdir -p "$TK_RUN/gnupg") && gpg --homedir "$TK_RUN/gnupg" --batch --yes "$@"; }

# apt_key_valid FILE: whether all of it is OpenPGP keys, one of them not expired or revoked.
apt_key_valid() {
    local keys
    [ -s "$1" ] && keys=$(gpg_here --show-keys --with-colons "$1" 2>/dev/null) || return 1
    awk -F : -v now="$(date +%s)" '$1 == "pub" && $2 !~ /[eri]/ && ($7 == "" || $7 > now) {valid = 1} END {exit !valid}' <<<"$keys"
}

# install_apt_key FILE URL: fetched whole and looked at before it takes the former one's place.
install_apt_key() {
    local key=$1 new=$TK_RUN/key
    rm -f -- "$new" "$new.gpg"
    curl -fsSL --retry 3 --max-time 60 -o "$new" "$2" || fail "cannot fetch $2: is this host online? Name a mirror in tailkube:mirrors; offline hosts need tailkube:bundle"
    if grep -q 'BEGIN PGP' "$new"; then gpg_here --dearmor -o "$new.gpg" "$new" 2>/dev/null || true; else cp -- "$new" "$new.gpg"; fi
    apt_key_valid "$new.gpg" || fail "$2 is no valid signing key: truncated, expired, or an error page of a proxy. Look at it with curl from this host, and run again"
    ! cmp -s -- "$new.gpg" "$key" || return 0
    if [ -e "$key" ] && ! owned "$key"; then
        back_up "$key"
    fi
    make_parents "$key"
    own "$key"
    { install -m 0644 -- "$new.gpg" "$key.tailkube" && put_in_place "$key"; } || fail "cannot write $key: is the disk full or read-only?"
    changed "wrote $key"
}

# host_apt_list URI SUITE: the host's own list that has this repository, in either of apt's two formats; fails if none has. apt
# names no lists that it has not fetched yet.
host_apt_list() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        if [ ! -f "$file" ] || owned "$file"; then continue; fi
        awk -v uri="${1%/}" -v suite="${2%/}" -v format="${file##*.}" '
            function bare(text) {sub(/\/$/, "", text); return text}
            function look(uris, suites, u, s, i, j, n, m) {
                n = split(uris, u, " ")
                m = split(suites, s, " ")
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) if (bare(u[i]) == uri && bare(s[j]) == suite) found = 1
            }
            function stanza() {
                if (field["enabled"] !~ /^ *no *$/) look(field["uris"], field["suites"])
                split("", field)
            }
            format == "list" {sub(/#.*/, ""); sub(/\[[^]]*\]/, " "); if ($1 ~ /^deb(-src)?$/) look($2, $3); next}
            /^#/ {next}
            /^[ \t]*$/ {stanza(); next}
            /^[^ \t]/ {key = tolower($0); sub(/:.*/, "", key); sub(/^[^:]*:/, "")}
            {field[key] = field[key] " " $0}
            END {stanza(); exit !found}' "$file" || continue
        printf '%s\n' "$file"
        return 0
    done
    return 1
}

# apt_repository NAME KEY KEY_URL LINE: a package repository, in the list NAME.list, with its own key in the file KEY, which LINE
# names as `signed-by`. The key may come armoured or not. A host that has the repository already keeps its own list and key: apt
# refuses everything where two lists name different keys for one repository.
apt_repository() {
    local key=$2 url=$3 line=$4 list=/etc/apt/sources.list.d/$1.list theirs uri suite tool
    for tool in curl gpg; do
        command -v "$tool" >/dev/null || apt_install ca-certificates curl gnupg
    done
    # An earlier version of this program had its list there.
    if owned "/etc/apt/sources.list.d/tailkube-$1.list"; then rm -f "/etc/apt/sources.list.d/tailkube-$1.list"; fi
    # "deb [signed-by=…] URI SUITE …"
    read -r _ _ uri suite _ <<<"$line"
    if theirs=$(host_apt_list "$uri" "$suite"); then
        if owned "$list" && [ -e "$list" ]; then
            rm -f -- "$list"
            changed "removed $list: $theirs has the same repository"
        fi
        apt_refresh
        return
    fi
    APT_KEYS+=("$key $url")
    apt_key_valid "$key" || install_apt_key "$key" "$url"
    if install_text "$list" 0644 "$line"; then apt_refresh; fi
}

# log_tail FILE [LINES]: the last lines of a tool's log in one line, for fail.
log_tail() {
    local text
    text=$(tail -n "${2:-8}" "$1" 2>/dev/null | tr -s '\n\t ' ' ')
    text=${text% }
    printf '%s' "${text:-it printed nothing}"
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
