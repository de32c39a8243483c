# Faults of the network between the hosts: pulled cables, partitions, loss; delay is in delay.sh. They are set on the
# machine's side of the hosts' links, and kept in faults/, so that they outlast reboots and rebuilds of hosts as they do
# with real cables.
# shellcheck shell=bash

FAULTS_STATE=$HOSTS_STATE/faults
# The bridge family's table with the rules of partitions and loss.
FAULTS_TABLE=$PREFIX
# Added to those of rootfs.sh, which is part of the root file system's recipe.
MACHINE_PACKAGES+=(nft:nftables)

# Of the tailnet server: of all its ports, and of the relay, by which hosts that cannot reach each other still do.
TAILNET_PORTS='3340, 3341, 3478'
RELAY_PORTS=3341

cable_is_out() { [[ -e $FAULTS_STATE/cable-$1 ]]; }

# cable NAME out|in: without the peer's carrier, as the host sees it, on eth1.
fault_cable() {
  mkdir -p "$FAULTS_STATE"
  case $2 in
    out) touch "$FAULTS_STATE/cable-$1" ;;
    in) rm -f "$FAULTS_STATE/cable-$1" ;;
  esac
  # A host that is off has no link; network_create asks cable_is_out.
  [[ ! -e /sys/class/net/$(host_netns "$1") ]] || network_plug "$1"
}

# fault_partition NAME OTHER…: no frame passes between NAME and any OTHER, in addition to what is cut off already. OTHER is
# a host, `tailnet` (the server with its relay) or `relay`.
fault_partition() {
  local name=$1 other
  shift
  mkdir -p "$FAULTS_STATE"
  for other in "$@"; do
    case $other in
      tailnet | relay) ;;
      "$name") die "partition: $name cannot be cut off from itself" ;;
      *) host_address "$other" >/dev/null ;;
    esac
  done
  {
    fault_partitions
    printf "$name %s\n" "$@"
  } | sort -u >"$FAULTS_STATE/partitions.new"
  mv "$FAULTS_STATE/partitions.new" "$FAULTS_STATE/partitions"
  faults_apply
}

# fault_partition_end NAME: NAME reaches all others again.
fault_partition_end() {
  mkdir -p "$FAULTS_STATE"
  fault_partitions | awk -v name="$1" '$1 != name && $2 != name' >"$FAULTS_STATE/partitions.new"
  mv "$FAULTS_STATE/partitions.new" "$FAULTS_STATE/partitions"
  faults_apply
}

fault_partitions() { cat "$FAULTS_STATE/partitions" 2>/dev/null || true; }

# fault_loss PERCENT|off: of the frames from host to host, each way by itself.
fault_loss() {
  local name
  mkdir -p "$FAULTS_STATE"
  if [[ $1 =~ ^(off|0)$ ]]; then
    rm -f "$FAULTS_STATE/loss"
  else
    [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,2})?$ && ${1%.*} -le 100 ]] ||
      die "loss: '$1' is no percentage: 0 to 100, with at most two decimals, or off"
    echo "$1" >"$FAULTS_STATE/loss"
  fi
  for name in "${ALL_HOSTS[@]}"; do
    [[ ! -e /run/netns/$(host_netns "$name") ]] || network_segment "$name"
  done
  faults_apply
}

# loss_percent: of the loss that is set, or nothing.
loss_percent() { cat "$FAULTS_STATE/loss" 2>/dev/null || true; }

# Makes the rules what the state says, all at once.
faults_apply() {
  if [[ -z $(fault_partitions)$(loss_percent) ]]; then
    faults_clear
  else
    machine_packages_install
    faults_rules | nft -f -
  fi
}

faults_clear() {
  if command -v nft >/dev/null && nft list table bridge "$FAULTS_TABLE" >/dev/null 2>&1; then
    nft delete table bridge "$FAULTS_TABLE"
  fi
}

# The table, for `nft -f`. Links are matched by name, so a host that starts later is matched, too.
faults_rules() {
  local name other loss
  loss=$(loss_percent)
  # The first line makes the second right whether or not there was a table.
  printf 'table bridge %s\ndelete table bridge %s\ntable bridge %s {\n' "$FAULTS_TABLE" "$FAULTS_TABLE" "$FAULTS_TABLE"
  printf '  chain between {\n    type filter hook forward priority 0\n'
  fault_partitions | while read -r name other; do
    case $other in
      tailnet | relay) ;;
      *) faults_drop_both "$(host_netns "$name")" "$(host_netns "$other")" ;;
    esac
  done
  if [[ -n $loss ]]; then
    # Bash has no fractions: hundredths of a percent.
    printf '    numgen random mod 10000 <= %d drop\n' "$(awk "BEGIN { printf \"%.0f\", $loss * 100 - 1 }")"
  fi
  printf '  }\n  chain server {\n    type filter hook input priority 0\n'
  faults_server_rules iifname daddr dport
  printf '  }\n  chain server_answers {\n    type filter hook output priority 0\n'
  faults_server_rules oifname saddr sport
  printf '  }\n}\n'
}

# faults_server_rules INTERFACE ADDRESS PORT: what passes between hosts and the tailnet server, one way.
faults_server_rules() {
  local name other ports
  fault_partitions | while read -r name other; do
    case $other in
      tailnet) ports=$TAILNET_PORTS ;;
      relay) ports=$RELAY_PORTS ;;
      *) continue ;;
    esac
    printf '    %s "%s" ip %s %s meta l4proto { tcp, udp } th %s { %s } drop\n' "$1" "$(host_netns "$name")" "$2" \
      "$BRIDGE_ADDRESS" "$3" "$ports"
  done
}

faults_drop_both() {
  printf '    iifname "%s" oifname "%s" drop\n' "$1" "$2" "$2" "$1"
}

# faults_of NAME: a line of what is wrong with the host's network, or nothing.
faults_of() {
  local faults=() other
  ! cable_is_out "$1" || faults+=('cable out')
  other=$(fault_partitions | awk -v name="$1" '$1 == name { print $2 } $2 == name { print $1 }' | sort -u | paste -sd ' ')
  [[ -z $other ]] || faults+=("cut off from $other")
  [[ -z $(loss_percent) ]] || faults+=("loss $(loss_percent) %")
  mapfile -t -O "${#faults[@]}" faults < <(delay_of "$1")
  (
    IFS=,
    echo "${faults[*]}"
  )
}
