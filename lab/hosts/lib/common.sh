# Paths, names and addresses of the lab's hosts. Sourced by ../hosts and ../supervise.
# shellcheck shell=bash disable=SC2034 # the sourcing scripts use what is set here

# The directories made here become directories of the hosts.
umask 022

HOSTS_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
STATE_DIR=$(dirname -- "$HOSTS_DIR")/.state
HOSTS_STATE=$STATE_DIR/hosts
SSH_KEY=$STATE_DIR/ssh/id_ed25519
CACHE_DIR=${TAILKUBE_CACHE:-$HOME/.cache/tailkube}

# The ones that are meant where none is named; w2 is only there for who asks for it.
DEFAULT_HOSTS=(cp1 cp2 cp3 w1)
ALL_HOSTS=("${DEFAULT_HOSTS[@]}" w2)
# What the hosts keep outside their overlay: containerd's snapshots are overlays themselves, and an overlay above an
# overlay is refused.
DATA_DIRS=(containerd kubelet etcd)

BRIDGE=tklab0
BRIDGE_ADDRESS=172.31.77.1
# Everything of the lab in the machine's root namespaces starts with this: network namespaces, links.
PREFIX=tklab

# The eth1 address of a host, without the prefix length.
host_address() {
  case $1 in
    cp1) echo 172.31.77.11 ;;
    cp2) echo 172.31.77.12 ;;
    cp3) echo 172.31.77.13 ;;
    w1) echo 172.31.77.21 ;;
    w2) echo 172.31.77.22 ;;
    *) die "unknown host '$1': one of ${ALL_HOSTS[*]}" ;;
  esac
}

# The default hosts have one network manager each, so that nothing works by luck with one of them only.
host_network_manager() {
  case $1 in
    cp1) echo netplan ;;
    cp2 | w2) echo ifupdown ;;
    cp3) echo NetworkManager ;;
    w1) echo systemd-networkd ;;
  esac
}

# The release of Debian of new hosts, all but w1, which has been there for longer.
HOST_SUITE=${TAILKUBE_HOST_SUITE:-trixie}
# host_suite NAME: of a host that is there, the one that it was made of.
host_suite() {
  cat "$(host_dir "$1")/suite" 2>/dev/null || if [[ $1 == w1 ]]; then echo bookworm; else echo "$HOST_SUITE"; fi
}

# What hosts install from (lab/sources); nothing where that is not chosen.
host_sources() { cat "$STATE_DIR/sources" 2>/dev/null || true; }

# The suites of all hosts.
host_suites() {
  local name
  for name in "${ALL_HOSTS[@]}"; do host_suite "$name"; done | sort -u
}

# Four hosts share root's inotify instances; the kernel's default of 128 is too few for four kubelets.
INOTIFY_LIMIT=/proc/sys/fs/inotify/max_user_instances
FORWARDING=/proc/sys/net/ipv4/ip_forward

# setting_raise FILE VALUE: at least VALUE. The machine's own is kept for settings_restore, where a lost state directory does not
# lose it.
setting_raise() {
  (($(<"$1") < $2)) || return 0
  cat "$1" >"/run/tailkube-lab.${1##*/}"
  echo "$2" >"$1"
}

settings_restore() {
  local file saved
  for file in "$INOTIFY_LIMIT" "$FORWARDING"; do
    saved=/run/tailkube-lab.${file##*/}
    [[ -e $saved ]] || continue
    cat "$saved" >"$file"
    rm "$saved"
  done
}

# The key by which this machine logs in to hosts.
ssh_key_make() {
  install -d -m 0700 "${SSH_KEY%/*}"
  [[ -e $SSH_KEY ]] || ssh-keygen -q -t ed25519 -N '' -C tailkube-lab -f "$SSH_KEY"
}

host_dir() { echo "$HOSTS_STATE/$1"; }
host_netns() { echo "$PREFIX-$1"; }
host_nat_netns() { echo "$PREFIX-$1-nat"; }

die() {
  echo "hosts: $*" >&2
  exit 1
}

# Seconds since the start of the script, with one decimal.
elapsed() {
  local us=$((${EPOCHREALTIME/[.,]/} - START_US))
  printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}
START_US=${EPOCHREALTIME/[.,]/}

progress() { printf '%6ss  %s\n' "$(elapsed)" "$*"; }

# wait_until SECONDS COMMAND…: run COMMAND every 0.1 s until it succeeds; 1 after SECONDS.
wait_until() {
  local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
  shift
  until "$@"; do
    ((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
    sleep 0.1
  done
}
