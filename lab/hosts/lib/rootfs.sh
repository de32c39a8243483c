# The Debian root file systems that hosts share, one for each suite: built once per recipe, kept in the cache, read-only below
# overlays.
# shellcheck shell=bash

ROOTFS_MIRROR=${TAILKUBE_DEBIAN_MIRROR:-http://deb.debian.org}
ROOTFS_PACKAGES=(
  systemd systemd-sysv udev dbus sudo openssh-server ca-certificates curl jq kmod procps iputils-ping
  iproute2 iptables nftables conntrack socat ethtool ebtables containernetworking-plugins
  netplan.io ifupdown network-manager
)
# What the machine itself needs: command and Debian package.
MACHINE_PACKAGES=(
  mmdebstrap:mmdebstrap systemd-nspawn:systemd-container ip:iproute2 nsenter:util-linux ssh-keygen:openssh-client
)

# Installs what this machine lacks. Needs root and apt-get only if something is missing.
machine_packages_install() {
  local entry missing=()
  for entry in "${MACHINE_PACKAGES[@]}"; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
  done
  ((${#missing[@]} > 0)) || return 0
  progress "installing on this machine: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# rootfs_dir SUITE: the directory of its root file system; the name changes with the recipe.
rootfs_dir() {
  local hash
  hash=$(cd "$HOSTS_DIR" && find lib/rootfs.sh lib/rootfs-customize rootfs -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum |
    cat - <(echo "$ROOTFS_MIRROR $1") | sha256sum)
  echo "$CACHE_DIR/rootfs-$1-${hash:0:12}"
}

# rootfs_build SUITE: base/ and, as layers above it, containerd/ and runc/, if they are not in the cache.
rootfs_build() {
  local suite=$1 dir partial log
  dir=$(rootfs_dir "$suite")
  [[ ! -d $dir ]] || return 0
  machine_packages_install
  partial=$dir.partial
  log=$dir.log
  rm -rf --one-file-system "$CACHE_DIR/rootfs-$suite"-*.partial
  mkdir -p "$partial"
  progress "building the root file system: Debian $suite, once (about 2 min)"
  if ! { rootfs_build_base "$suite" "$partial" && rootfs_build_layer "$partial" containerd '*' &&
    rootfs_build_layer "$partial" runc '[!c]*' && rm "$partial"/*.deb; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "the root file system could not be built; the whole log is in $log"
  fi
  mv "$partial" "$dir"
  progress "root file system ready: $dir ($(du -sh "$dir" | cut -f1))"
}

rootfs_build_base() {
  local suite=$1 options=() option
  # Where this machine's apt is told not to look at the age of an index, its mirror needs it here too.
  while read -r option; do options+=(--aptopt="$option"); done < <(apt-config dump | grep '^Acquire::Check-' || true)
  for option in doc man locale info; do options+=(--dpkgopt="path-exclude=/usr/share/$option/*"); done
  # shellcheck disable=SC2016 # "$1" and the APT_CONFIG are for mmdebstrap's own shell
  mmdebstrap --variant=minbase --mode=root "${options[@]}" --include="${ROOTFS_PACKAGES[*]}" \
    --customize-hook='rm "$1"/var/cache/apt/archives/*.deb' \
    --customize-hook='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install --yes --download-only containerd' \
    --customize-hook="mv \"\$1\"/var/cache/apt/archives/*.deb '$2'" \
    --customize-hook="'$HOSTS_DIR/lib/rootfs-customize' \"\$1\"" \
    "$suite" "$2/base" \
    "deb $ROOTFS_MIRROR/debian $suite main" \
    "deb $ROOTFS_MIRROR/debian $suite-updates main" \
    "deb $ROOTFS_MIRROR/debian-security $suite-security main"
}

rootfs_build_all() {
  local suite
  for suite in $(host_suites); do rootfs_build "$suite"; done
}

# rootfs_build_layer DIR NAME PATTERN: those of the packages that were downloaded. In a mount namespace of its own, so that nothing
# stays mounted when it is killed.
rootfs_build_layer() {
  mkdir "$1/$2" "$1/work" "$1/merged"
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --propagation private bash -euc '
    cd "$1"
    mount -t overlay overlay -o lowerdir=base,upperdir="$2",workdir=work merged
    mkdir merged/debs
    cp ./$3.deb merged/debs
    DEBIAN_FRONTEND=noninteractive chroot merged bash -c "dpkg --install /debs/*.deb"
    rm -r merged/debs
    umount merged
  ' bash "$@"
  rm -r "$1/work" "$1/merged"
}
