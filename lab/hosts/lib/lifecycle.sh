# Starting, stopping and entering hosts.
# shellcheck shell=bash

# Seconds that a host may take to boot; to shut down before it is killed; to shut down for a reboot (systemd gives a
# service, and a pod that ignores SIGTERM, 90 s).
BOOT_SECONDS=${TAILKUBE_BOOT_SECONDS:-180}
STOP_SECONDS=${TAILKUBE_STOP_SECONDS:-60}
REBOOT_SECONDS=150

host_running() { ! cgroup_empty "$1.supervisor"; }

# host_start NAME: start the supervisor of a created host; does not wait for the boot.
host_start() {
  local dir
  dir=$(host_dir "$1")
  ! host_running "$1" || return 0
  [[ -e $dir/created ]] || die "$1 does not exist: hosts up $1"
  rm -f "$dir/stopping"
  host_mount "$1"
  # Not our lock (9), nor anything else that would tie the host to this terminal.
  setsid "$HOSTS_DIR/supervise" "$1" </dev/null >>"$dir/supervisor.log" 2>&1 9>&- &
  disown
  wait_until 10 host_running "$1" || die "$1 did not start: see $dir/supervisor.log"
}

# host_stop NAME: power off from inside, and pull the plug after STOP_SECONDS.
host_stop() {
  local leader
  host_running "$1" || return 0
  touch "$(host_dir "$1")/stopping"
  leader=$(host_leader "$1") && kill -s RTMIN+4 "$leader"
  if ! wait_until "$STOP_SECONDS" cgroup_empty "$1.supervisor"; then
    progress "$1 did not shut down within $STOP_SECONDS s: killing it"
  fi
  host_kill "$1"
}

# host_kill NAME: a power loss. The supervisor goes first, or it would start the host again.
host_kill() {
  cgroup_kill "$1.supervisor" || die "$1: its supervisor cannot be killed"
  host_clear "$1"
  cgroup_remove "$1.supervisor"
}

# host_clear NAME: take away all that outlives a dead host's processes but would not outlive a real reboot.
host_clear() {
  local nspawn=/run/systemd/nspawn root
  local propagate=$nspawn/propagate/$1
  cgroup_kill "$1" || die "$1: processes cannot be killed: $(cgroup_pids "$1" | xargs)"
  wait_until 10 cgroup_removed "$1" || die "$1: cgroups cannot be removed: $(cgroup_dirs "$1" | xargs)"
  network_remove "$1"
  if [[ -d $propagate ]]; then
    while mountpoint -q "$propagate"; do umount -l "$propagate"; done
    rm -rf --one-file-system "$propagate"
  fi
  root=$(host_dir "$1")/root
  if [[ -d $root ]]; then rm -f "$nspawn/locks/inode-$(stat -c %d:%i "$root")"; fi
}

cgroup_removed() {
  cgroup_remove "$1"
  [[ -z $(cgroup_dirs "$1") ]]
}

# The process ID, on the machine, of the host's init; fails if there is none.
host_leader() {
  local pids status
  mapfile -t pids < <(cgroup_pids "$1")
  ((${#pids[@]} > 0)) || return 1
  # PID 1 of the first namespace below ours: containers on the host are one level deeper.
  status=$(cd /proc && grep -lE $'^NSpid:\t[0-9]+\t1$' "${pids[@]/%//status}" /dev/null 2>/dev/null | head -n 1)
  [[ -n $status ]] && echo "${status%/status}"
}

# host_exec NAME COMMAND…: run it in the host's namespaces and cgroups, with a clean environment.
host_exec() {
  local name=$1 leader
  shift
  leader=$(host_leader "$name") || return 1
  (
    host_join_cgroups "$leader"
    exec nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- \
      /usr/bin/env -i -C / PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
      TERM="${TERM:-dumb}" "$@"
  )
}

host_join_cgroups() {
  local controllers path
  while IFS=: read -r _ controllers path; do
    echo "$BASHPID" >"$(cgroup_mount "$controllers")$path/cgroup.procs" 2>/dev/null || true
  done <"/proc/$1/cgroup"
}

# How often the host was started since its creation.
host_boots() { cat "$(host_dir "$1")/boots" 2>/dev/null || echo 0; }

# host_wait NAME: wait until it is up and sshd answers; 1 after BOOT_SECONDS. A degraded host is up, with a warning.
host_wait() {
  local state failed
  wait_until "$BOOT_SECONDS" host_booted_or_gone "$1" || {
    progress "$1 is not up after $BOOT_SECONDS s: $(host_system_state "$1"); its jobs, and the end of its console ($(host_dir "$1")/console.log):"
    host_jobs "$1"
    tail -n 15 "$(host_dir "$1")/console.log" || true
    return 1
  }
  host_running "$1" || {
    progress "$1 did not start; the end of $(host_dir "$1")/supervisor.log:"
    tail -n 5 "$(host_dir "$1")/supervisor.log" || true
    return 1
  }
  state=$(host_system_state "$1")
  if [[ $state != running ]]; then
    failed=$(host_exec "$1" systemctl --failed --plain --no-legend | cut -d ' ' -f 1 | xargs)
    progress "$1 is $state: $failed"
  fi
}

# A host that is short of memory may not answer.
host_system_state() { host_exec "$1" timeout 10 systemctl is-system-running 2>/dev/null || true; }

# What systemd still does on a host, a line a job: what a slow boot or shutdown waits for.
host_jobs() { host_exec "$1" timeout 10 systemctl list-jobs --no-legend --no-pager || true; }

host_booted_or_gone() { ! host_running "$1" || host_booted "$1"; }

host_booted() {
  [[ $(host_system_state "$1") =~ ^(running|degraded)$ ]] || return 1
  # Nothing answers where the cable is out.
  cable_is_out "$1" || host_ssh_answers "$1"
}

host_ssh_answers() {
  # shellcheck disable=SC2016 # for the inner shell
  timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/22" && read -r line <&3 && [[ $line == SSH-* ]]' \
    bash "$(host_address "$1")" 2>/dev/null
}

# host_reboot NAME: from inside; the supervisor starts it again.
host_reboot() {
  host_running "$1" || die "$1 is not running"
  host_exec "$1" timeout 30 systemctl reboot || true
}

# host_wait_reboot NAME BOOTS: wait until it has booted more often than BOOTS times, and is up.
host_wait_reboot() {
  wait_until "$REBOOT_SECONDS" host_boots_exceed "$1" "$2" || {
    progress "$1 did not go down within $REBOOT_SECONDS s; its jobs:"
    host_jobs "$1"
    return 1
  }
  host_wait "$1"
}

host_boots_exceed() { (($(host_boots "$1") > $2)); }
