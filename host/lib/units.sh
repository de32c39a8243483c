# shellcheck shell=bash
# requires: lib/waiting
# systemd's units: whether they run, starting and stopping them, and restarts after their files changed (records/files.sh).

# reload_units: makes systemd read its units again if this program has changed one since.
reload_units() {
    [ -e "$TK_RUN/reload" ] || return 0
    daemon_reload
    rm -f -- "$TK_RUN/reload"
}

daemon_reload() { systemctl daemon-reload || fail "systemd does not read its units again ('systemctl daemon-reload' on this host says why), so what was changed is not in force"; }

# read_again UNIT restart|reload: a unit that runs, if what it reads has changed since it did.
read_again() {
    [ -e "$TK_RUN/restart/$1" ] || return 0
    systemctl "$2" "$1" || fail "systemctl cannot $2 $1, so what was written for it is not in force; see 'systemctl status $1'"
    rm -f -- "$TK_RUN/restart/$1"
    changed "${2}ed $1"
}

# unit_answer UNIT: prints whether it runs, yes or no; no for a unit that does not exist. Fails if systemd does not answer:
# `systemctl is-active` then looks as if the answer were "no".
unit_answer() {
    local state
    state=$(systemctl show --property=ActiveState --value -- "$1") && [ -n "$state" ] || return
    case $1:$state in
    *:active | *:reloading) echo yes ;;
    # It has its containers all the same, and lists them when it has started.
    containerd.service:activating | containerd.service:deactivating)
        echo "it is $state; start or stop it" >&2
        return 1
        ;;
    *) echo no ;;
    esac
}

# unit_runs UNIT: whether it runs now.
unit_runs() {
    ask 30 "whether $1 runs (systemctl show $1)" unit_answer "$1"
    [ "$ANSWER" = yes ]
}

# unit_start UNIT [restart]: enabled and running; restarted when asked, and when what it reads has changed since it started.
unit_start() { try_unit_start "$@" || fail "systemctl cannot start $1; see 'systemctl status $1' and 'journalctl -u $1'"; }

# try_unit_start UNIT [restart]: unit_start that returns 1 when the unit does not start.
try_unit_start() {
    reload_units
    systemctl is-enabled --quiet "$1" 2>/dev/null || {
        systemctl enable --quiet "$1" || fail "systemctl cannot enable $1, so it would not start with the host"
        changed "enabled $1"
    }
    if [ "${2:-}" = restart ] || [ -e "$TK_RUN/restart/$1" ]; then
        systemctl restart "$1" || return 1
        rm -f -- "$TK_RUN/restart/$1"
        changed "restarted $1"
    elif ! unit_runs "$1"; then
        systemctl start "$1" || return 1
        changed "started $1"
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

# restart_running UNIT WHAT: so that a unit that runs no longer has WHAT, which was taken away. A unit that does not run, or does not
# exist, is left alone.
restart_running() {
    ! unit_runs "$1" || wait_for 30 "systemctl cannot restart $1, which still has $2; see 'systemctl status $1'" systemctl restart "$1"
}
