# One cgroup per host and one per supervisor, in every hierarchy. They are the lab's record of who belongs to what: no
# process can leave them, so they find every process even when lab/.state is gone.
# shellcheck shell=bash

CGROUP_NAME=tailkube-lab

# Prints, for each mounted hierarchy (v1 controllers, named ones, v2), the directory under which the lab's cgroups go: the
# current cgroup (of the lab's own processes: the one above the lab's); its root where v2 is the only one, for there a
# cgroup with processes cannot hand controllers on.
cgroup_parents() {
  local controllers path mount
  while IFS=: read -r _ controllers path; do
    mount=$(cgroup_mount "$controllers")
    [[ -n $mount ]] || continue
    path=${path%%"/$CGROUP_NAME/"*}
    # In a container, the path may be relative to a root that is not mounted here.
    if [[ $mount != /sys/fs/cgroup && -d $mount$path ]]; then echo "${mount%/}${path%/}"; else echo "${mount%/}"; fi
  done </proc/self/cgroup
}

# cgroup_mount CONTROLLERS: the mount point of the v1 hierarchy with these controllers, of v2 if CONTROLLERS is empty.
cgroup_mount() {
  local mount type options
  while read -r _ mount type options _; do
    if [[ -z $1 ]]; then
      [[ $type == cgroup2 ]] || continue
    else
      [[ $type == cgroup && ,$options, == *,"$1",* ]] || continue
    fi
    echo "$mount"
    return
  done </proc/self/mounts
}

# cgroup_enter NAME: move this shell into the cgroup NAME of the lab, in every hierarchy, making it if missing.
cgroup_enter() {
  local parents parent dir
  # All first: after a move the current cgroup is another one.
  mapfile -t parents < <(cgroup_parents)
  for parent in "${parents[@]}"; do
    dir=$parent/$CGROUP_NAME
    cgroup_make "$dir"
    if [[ $parent == /sys/fs/cgroup ]]; then cgroup_delegate "$parent" "$dir"; fi
    cgroup_make "$dir/$1"
    echo "$BASHPID" >"$dir/$1/cgroup.procs"
  done
}

# cgroup_make DIR: a new v1 cpuset is empty and refuses processes, so it gets what its parent has.
cgroup_make() {
  local file
  mkdir -p "$1"
  for file in cpuset.cpus cpuset.mems; do
    [[ ! -f ${1%/*}/$file || ! -f $1/$file || -n $(<"$1/$file") ]] || cat "${1%/*}/$file" >"$1/$file"
  done
}

# cgroup_delegate DIR…: on v2, let the children of each DIR have the controllers that it has, as far as the kernel lets it.
cgroup_delegate() {
  local dir controller
  for dir in "$@"; do
    for controller in $(<"$dir/cgroup.controllers"); do
      echo "+$controller" >"$dir/cgroup.subtree_control" || true
    done
  done
}

# cgroup_dirs [NAME]: the lab's cgroup directories (those of NAME only), wherever an earlier run made them.
cgroup_dirs() {
  find /sys/fs/cgroup -type d -path "*/$CGROUP_NAME${1:+/$1}" -prune 2>/dev/null || true
}

# cgroup_pids [NAME]: every process of the lab (of NAME only), each once.
cgroup_pids() {
  local dir
  cgroup_dirs "$@" | while read -r dir; do
    find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -nu
}

cgroup_empty() { [[ -z $(cgroup_pids "$@") ]]; }

# cgroup_kill [NAME]: SIGKILL every process of it and wait until they are gone; 1 after 10 s.
cgroup_kill() {
  wait_until 10 cgroup_killed "$@"
}

cgroup_killed() {
  local pids
  mapfile -t pids < <(cgroup_pids "$@")
  ((${#pids[@]} > 0)) || return 0
  kill -KILL "${pids[@]}" 2>/dev/null || true
  return 1
}

# cgroup_remove [NAME]: remove its empty cgroups. BPF programs attached to them go with them, as in a reboot.
cgroup_remove() {
  local dir
  cgroup_dirs "$@" | while read -r dir; do
    find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}
