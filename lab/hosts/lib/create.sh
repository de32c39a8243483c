# A host's own file system: an overlay above the shared root file system, and what makes one host differ from another.
# shellcheck shell=bash

# host_create NAME: make the host if it is missing or half made. Its identity (machine ID, SSH host keys) is new each time.
host_create() {
  local dir suite
  dir=$(host_dir "$1")
  [[ ! -e $dir/created ]] || return 0
  host_remove "$1"
  mkdir -p "$dir"/{upper,work,root} "${DATA_DIRS[@]/#/$dir/data/}"
  # Not into the file that it reads.
  suite=$(host_suite "$1")
  echo "$suite" >"$dir/suite"
  host_lower_dirs "$1" >"$dir/lower"
  host_mount "$1"
  host_write_identity "$1" "$dir/root"
  host_write_network "$1" "$dir/root"
  if [[ $(host_sources) == mirror ]]; then
    sed -i "s#$ROOTFS_MIRROR/#http://$BRIDGE_ADDRESS:3351/#" "$dir/root/etc/apt/sources.list"
  fi
  touch "$dir/created"
}

# The read-only layers, the upper first: w1 has a container runtime of its distribution, the others have none, or what a bundle needs
# beside its own.
host_lower_dirs() {
  local dir
  dir=$(rootfs_dir "$(host_suite "$1")")
  case $1-$(host_sources) in
    w1-*) echo "$dir/containerd:$dir/base" ;;
    *-bundle) echo "$dir/runc:$dir/base" ;;
    *) echo "$dir/base" ;;
  esac
}

host_mount() {
  local dir
  dir=$(host_dir "$1")
  mountpoint -q "$dir/root" ||
    mount -t overlay overlay -o "lowerdir=$(<"$dir/lower"),upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
}

host_unmount() {
  local root
  root=$(host_dir "$1")/root
  while mountpoint -q "$root"; do umount -R "$root" || umount -R -l "$root"; done
}

# host_remove NAME: delete a stopped host.
host_remove() {
  host_unmount "$1"
  rm -rf --one-file-system "$(host_dir "$1")"
}

host_write_identity() {
  local name=$1 root=$2 user
  echo "$name" >"$root/etc/hostname"
  cat >"$root/etc/hosts" <<END
127.0.0.1 localhost
127.0.1.1 $name
::1 localhost ip6-localhost ip6-loopback
END
  # The name server of VirtualBox's NAT; here it answers nothing.
  echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
  chmod 0644 "$root"/etc/{hostname,resolv.conf}
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f "$root/etc/ssh/ssh_host_ed25519_key"
  ssh-keygen -q -t ecdsa -N '' -C "root@$name" -f "$root/etc/ssh/ssh_host_ecdsa_key"
  for user in root home/lab; do
    cp "$SSH_KEY.pub" "$root/$user/.ssh/authorized_keys"
    chmod 0600 "$root/$user/.ssh/authorized_keys"
    chown --reference="$root/$user/.ssh" "$root/$user/.ssh/authorized_keys"
  done
}

# Both interfaces are static, and the host's own network manager configures them at boot.
host_write_network() {
  local name=$1 root=$2 address
  address=$(host_address "$name")/24
  case $(host_network_manager "$name") in
    netplan)
      cat >"$root/etc/netplan/01-lab.yaml" <<END
network:
  version: 2
  renderer: networkd
  ethernets:
    eth0:
      addresses: [10.0.2.15/24]
      routes: [{to: default, via: 10.0.2.2}]
    eth1:
      addresses: [$address]
END
      chmod 0600 "$root/etc/netplan/01-lab.yaml"
      ;;
    ifupdown)
      cat >"$root/etc/network/interfaces.d/lab" <<END
auto eth0
iface eth0 inet static
    address 10.0.2.15/24
    gateway 10.0.2.2

auto eth1
iface eth1 inet static
    address $address
END
      systemctl --quiet --root="$root" enable networking.service
      ;;
    NetworkManager)
      write_keyfile "$root" eth0 10.0.2.15/24 10.0.2.2
      write_keyfile "$root" eth1 "$address"
      systemctl --quiet --root="$root" enable NetworkManager.service
      ;;
    systemd-networkd)
      cat >"$root/etc/systemd/network/10-eth0.network" <<END
[Match]
Name=eth0

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END
      cat >"$root/etc/systemd/network/10-eth1.network" <<END
[Match]
Name=eth1

[Network]
Address=$address
END
      systemctl --quiet --root="$root" enable systemd-networkd.service
      ;;
  esac
}

# write_keyfile ROOT INTERFACE ADDRESS [GATEWAY]: a NetworkManager profile.
write_keyfile() {
  local file=$1/etc/NetworkManager/system-connections/$2.nmconnection
  cat >"$file" <<END
[connection]
id=$2
type=ethernet
interface-name=$2

[ipv4]
method=manual
address1=$3${4:+,$4}
${4:+dns=10.0.2.3}

[ipv6]
method=link-local
END
  chmod 0600 "$file"
}
