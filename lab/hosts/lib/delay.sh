# Delay of what hosts receive: by the kernel's netem or, where it has none, by a process for each host (../../delay). Traffic
# control leads the frames that would leave by the host's link to a TAP device, and the process passes them on to the link:
# names, bridge and rules stay as they are.
# shellcheck shell=bash

# A copy of the program, if it is what delays: hosts that boot later need neither Go nor the cache.
DELAY_PROGRAM=$FAULTS_STATE/delay-program
# The cgroup of its processes. They end with their TAP devices, and this is for one that does not.
DELAY_CGROUP=delay

delay_set() { cat "$FAULTS_STATE/delay" 2>/dev/null || true; }
delay_tap() { echo "$PREFIX-$1-delay"; }

# fault_delay MILLISECONDS JITTER | off: of every frame towards a host, also of the machine's own. Exit status 3: the
# kernel can do it in neither way.
fault_delay() {
  local name program
  mkdir -p "$FAULTS_STATE"
  if [[ $1 == off ]]; then
    rm -f "$FAULTS_STATE"/delay{,-program}
  else
    [[ $1 =~ ^[0-9]{1,5}$ && $2 =~ ^[0-9]{1,5}$ ]] || die "delay: '$1 $2': two whole numbers of milliseconds, or off"
    if kernel_has_netem; then
      rm -f "$DELAY_PROGRAM"
    elif kernel_redirects; then
      program=$("$HOSTS_DIR/../go-build" "$HOSTS_DIR/../delay") || die 'delay: the program that delays cannot be built'
      # The old copy may be running.
      install -m 0755 "$program" "$DELAY_PROGRAM.new"
      mv "$DELAY_PROGRAM.new" "$DELAY_PROGRAM"
    else
      echo 'hosts: delay: this kernel cannot delay packets: it has neither CONFIG_NET_SCH_NETEM nor all of CONFIG_TUN,' \
        'CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED' >&2
      exit 3
    fi
    echo "$1 $2" >"$FAULTS_STATE/delay"
  fi
  for name in "${ALL_HOSTS[@]}"; do
    [[ ! -e /sys/class/net/$(host_netns "$name") ]] || network_delay "$name"
  done
  [[ $1 != off ]] || delay_cgroup_remove
}

# on_probe COMMAND…: the kernel's answer on a link of its own, for the hosts' may have a delay already. The link is PROBE.
PROBE=$PREFIX-probe
on_probe() {
  local status=0
  ip link add "$PROBE" type veth peer name "${PROBE}2"
  "$@" 2>/dev/null || status=1
  ip link delete "$PROBE"
  return "$status"
}

kernel_has_netem() { on_probe tc qdisc add dev "$PROBE" root netem delay 1ms; }
kernel_redirects() { [[ -c /dev/net/tun ]] && on_probe delay_redirect "$PROBE" "${PROBE}2"; }

# delay_redirect LINK DEVICE: frames that would leave by LINK go to DEVICE, but for those that pass traffic control by.
delay_redirect() {
  tc qdisc replace dev "$1" clsact &&
    tc filter replace dev "$1" egress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev "$2"
}

# network_delay NAME: the delay that is set, of what goes to the host.
network_delay() {
  local delay jitter link
  link=$(host_netns "$1")
  delay_end "$1"
  read -r delay jitter < <(delay_set) || true
  if [[ -z $delay ]]; then
    if [[ $(tc qdisc show dev "$link" root) == *netem* ]]; then tc qdisc delete dev "$link" root; fi
  elif [[ -e $DELAY_PROGRAM ]]; then
    delay_start "$1" "$delay" "$jitter"
  else
    tc qdisc replace dev "$link" root netem delay "${delay}ms" "${jitter}ms"
  fi
}

# delay_start NAME MILLISECONDS JITTER: frames go the new way when there is somebody to pass them on.
delay_start() {
  local tap log=$FAULTS_STATE/delay-$1.log
  tap=$(delay_tap "$1")
  ip tuntap add dev "$tap" mode tap vnet_hdr
  # The machine would send packets of its own to it.
  [[ ! -e /proc/sys/net/ipv6/conf/$tap ]] || echo 1 >"/proc/sys/net/ipv6/conf/$tap/disable_ipv6"
  ip link set "$tap" txqueuelen 10000 up
  (
    cgroup_enter "$DELAY_CGROUP"
    # Not our lock (9), nor anything else that would tie it to this terminal.
    exec setsid "$DELAY_PROGRAM" --tap="$tap" --link="$(host_netns "$1")" --delay="${2}ms" --jitter="${3}ms" \
      </dev/null >>"$log" 2>&1 9>&-
  ) &
  disown
  wait_until 10 delay_runs "$1" || die "delay: what delays $1 did not start: see $log"
  delay_redirect "$(host_netns "$1")" "$tap"
}

# A TAP device has a carrier as long as a process is attached to it.
delay_runs() { [[ $(cat "/sys/class/net/$(delay_tap "$1")/carrier" 2>/dev/null) == 1 ]]; }

# delay_end NAME: frames go straight to the link again; those that are held are lost, and the process ends.
delay_end() {
  local tap
  tap=$(delay_tap "$1")
  tc qdisc delete dev "$(host_netns "$1")" clsact 2>/dev/null || true
  [[ ! -e /sys/class/net/$tap ]] || ip link delete "$tap"
}

delay_cgroup_remove() {
  cgroup_kill "$DELAY_CGROUP" || die "delay: processes cannot be killed: $(cgroup_pids "$DELAY_CGROUP" | xargs)"
  wait_until 10 cgroup_removed "$DELAY_CGROUP" || die "delay: cgroups cannot be removed: $(cgroup_dirs "$DELAY_CGROUP" | xargs)"
}

# delay_of NAME: the delay that is set, and whether nobody sees to it.
delay_of() {
  local set
  set=$(delay_set)
  [[ -n $set ]] || return 0
  echo "delay $set ms"
  if [[ -e $DELAY_PROGRAM && -e /sys/class/net/$(host_netns "$1") ]] && ! delay_runs "$1"; then
    echo 'nothing comes through, for what delays it is dead: hosts delay off'
  fi
}
