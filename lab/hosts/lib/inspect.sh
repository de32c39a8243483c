# What a host looks like, as text that can be compared before and after.
# shellcheck shell=bash

# To look for ipsets.
MACHINE_PACKAGES+=(ipset:ipset)

# hosts_status NAME…: name, state, address, network manager, number of boots, faults.
hosts_status() {
  local name state
  for name in "$@"; do
    state=stopped
    [[ -e $(host_dir "$name")/created ]] || state=absent
    if host_running "$name"; then state=$(host_system_state "$name"); fi
    printf '%-4s %-9s %-13s %-17s boots %-3s %s\n' "$name" "${state:-starting}" "$(host_address "$name")" \
      "$(host_network_manager "$name")" "$(host_boots "$name")" "$(faults_of "$name")"
  done
}

# host_snapshot NAME: a line for each path on the host's disk, sorted: path, type, mode, owner, size, and the SHA-256 of a
# file or the target of a link, tab-separated. What is mounted at run time (/proc, /run, the bundle, …) is not on disk.
host_snapshot() {
  local dir data
  dir=$(host_dir "$1")
  [[ -e $dir/created ]] || die "$1 does not exist"
  host_mount "$1"
  {
    list_tree "$dir/root" ''
    for data in "${DATA_DIRS[@]}"; do list_tree "$dir/data/$data" "/var/lib/$data"; done
  } | LC_ALL=C sort
}

# list_tree DIR PREFIX: newlines in names are printed as '?'.
list_tree() {
  local skip=(./proc ./sys ./dev ./run ./tmp ./opt/tailkube-{bundle,bundles,cache}) prune=() path
  # Mount points of the data directories: their content is listed from where it is.
  if [[ -z $2 ]]; then skip+=("${DATA_DIRS[@]/#/./var/lib/}"); fi
  for path in "${skip[@]}"; do prune+=(-path "$path" -o); done
  prune+=(-false)
  (
    cd "$1" || exit
    # First the hashes, then everything: awk joins them by name.
    {
      find . \( "${prune[@]}" \) -prune -o -type f -print0 | xargs -0 -r sha256sum -z
      find . \( "${prune[@]}" \) -prune -o -printf '\t%p\t%y\t%m\t%U:%G\t%s\t%l\0'
    } | tr '\n\0' '?\n' | awk -F '\t' -v prefix="$2" '
      !/^\t/ { hash[substr($0, 67)] = substr($0, 1, 64); next }
      {
        size = $3 == "d" ? "-" : $6
        content = $3 == "f" ? hash[$2] : $3 == "l" ? $7 : "-"
        path = prefix substr($2, 2)
        print (path == "" ? "/" : path) "\t" $3 "\t" $4 "\t" $5 "\t" size "\t" content
      }'
  )
}

# host_netstate NAME: the running host's network and BPF state, in sections.
host_netstate() {
  host_exec "$1" bash -s <"$HOSTS_DIR/lib/netstate"
  # With this machine's tool: hosts need none of their own.
  printf '\n## ipsets\n'
  nsenter --net="/run/netns/$(host_netns "$1")" ipset list -terse | sed -E '/^(Size in memory|References|Number of entries):/d'
}
