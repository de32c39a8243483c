# Taking everything away, whatever state it is in.
# shellcheck shell=bash

# hosts_down: kill and remove all that the lab's hosts put on this machine; 1, with a list, if anything is left.
hosts_down() {
  local name left
  # Supervisors first, or they would start their hosts again.
  for name in "${ALL_HOSTS[@]}"; do cgroup_kill "$name.supervisor" || true; done
  for name in "${ALL_HOSTS[@]}"; do (host_clear "$name") || true; done
  cgroup_kill || true
  wait_until 10 lab_cgroups_removed || true
  network_remove_all
  faults_clear
  if command -v nft >/dev/null; then nft delete table ip "$PREFIX" 2>/dev/null || true; fi
  # Deepest first.
  lab_mounts | sort -r | while read -r name; do umount "$name" || umount -l "$name"; done
  settings_restore
  rm -rf --one-file-system "$HOSTS_STATE"
  left=$(lab_leftovers)
  [[ -z $left ]] || {
    printf 'hosts: left behind:\n%s\n' "$left" >&2
    return 1
  }
}

lab_cgroups_removed() {
  cgroup_remove
  [[ -z $(cgroup_dirs) ]]
}

# Mount points of the hosts in this mount namespace, also those of another checkout: names of interfaces, namespaces and
# cgroups are the machine's, so there can be only one lab at a time.
lab_mounts() {
  local mount
  while read -r _ _ _ _ mount _; do
    # Spaces are \040 there.
    mount=$(printf '%b' "$mount")
    [[ $mount != */lab/.state/hosts/* ]] || echo "$mount"
  done </proc/self/mountinfo
}

# A line for each thing of the lab that still exists.
lab_leftovers() {
  cgroup_pids | xargs -r ps -o pid=,args= -p | sed 's/^/process /'
  lab_mounts | sed 's/^/mount /'
  # Processes outside the lab's cgroups that have a host's file system in a mount namespace of their own.
  { grep -lF -- "$HOSTS_STATE/" /proc/[0-9]*/mountinfo 2>/dev/null || true; } | cut -d / -f 3 |
    xargs -r ps -o pid=,args= -p | sed 's/^/mount in the namespace of process /'
  network_namespaces | sed 's/^/network namespace /'
  if command -v nft >/dev/null; then nft list tables 2>/dev/null | sed -n "s/^table \(bridge\|ip\) $PREFIX\$/nftables &/p"; fi
  network_links | sed 's/^/interface /'
  cgroup_dirs | sed 's/^/cgroup /'
  if [[ -e $HOSTS_STATE ]]; then echo "directory $HOSTS_STATE"; fi
}
