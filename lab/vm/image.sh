#!/usr/bin/env bash
# The image of a host: a disk, a kernel, and an initramfs that leads from one to the other. Sourced by vm.
set -euo pipefail
: "${here:?}" "${MIRROR:?}" "${SUITE:?}" "${CACHE_DIR:?}"

# What a minimal server has, and what the image itself is made of.
PACKAGES=(systemd-sysv dbus udev kmod openssh-server iproute2 iputils-ping procps ca-certificates sudo busybox-static)

image_build() {
  local arch=$1 image partial log root status
  image=$(image_dir "$arch")
  [[ ! -d $image ]] || return 0
  partial=$image.partial root=$partial/root log=$image.log
  install_packages debootstrap cpio kmod xz-utils e2fsprogs openssh-client "qemu-system-$(if [[ $arch == amd64 ]]; then echo x86; else echo arm; fi)"
  rm -rf --one-file-system "$CACHE_DIR/vm-$arch"-*.partial
  mkdir -p "$partial"
  progress "building the image of Debian $SUITE for $arch, once (about $(if is_native "$arch"; then echo 2; else echo 10; fi) min)"
  set +e
  (set -e && image_make "$arch" "$partial") >"$log" 2>&1
  status=$?
  set -e
  if ((status != 0)); then
    tail -n 20 "$log" >&2
    die "the image could not be built; the whole log is in $log"
  fi
  rm -rf --one-file-system "$root"
  mv "$partial" "$image"
  progress "image ready: $image ($(du -sh "$image" | cut -f1))"
}

# The machine's own chroot finishes the system, or, where that runs none of its programs, its own kernel.
image_make() {
  local arch=$1 out=$2 root=$2/root machine
  debootstrap --foreign --arch="$arch" --variant=minbase --include="$(IFS=,; echo "${PACKAGES[*]}"),linux-image-cloud-$arch" \
    "$SUITE" "$root" "$MIRROR/debian"
  make_initrd "$root" "$out"
  # A link of debootstrap's to the machine's.
  [[ ! -L $root/proc ]] || { rm "$root/proc" && mkdir "$root/proc"; }
  install -m 0755 "$here/install" "$root/lab-install"
  if is_native "$arch"; then unshare --mount --propagation private chroot "$root" /lab-install; fi
  mke2fs -q -t ext4 -d "$root" "$out/disk" 12G
  is_native "$arch" || {
    machine "$arch" tcg,thread=multi "$out" init=/lab-install
    with_disk "$out/disk"
    timeout 7200 "${machine[@]}" -initrd "$out/initrd" -no-reboot -serial stdio | tee "$out/console"
    grep -q 'lab: installed' "$out/console"
  }
}

# make_initrd ROOT OUT: the kernel, and what leads from it to the disk, out of packages that are not unpacked yet.
make_initrd() {
  local work=$2/work deb version module count=100
  mkdir -p "$work/tree"/{bin,dev,proc,root,modules}
  for deb in "$1"/var/cache/apt/archives/{linux-image-[0-9]*,busybox-static_*}.deb; do dpkg-deb --extract "$deb" "$work"; done
  cp "$work"/boot/vmlinuz-* "$2/kernel"
  cp "$work/usr/bin/busybox" "$work/tree/bin/"
  for module in sh cat mount umount insmod switch_root sleep cp poweroff; do ln -s busybox "$work/tree/bin/$module"; done
  install -m 0755 "$here/init" "$work/tree/init"
  ln -s usr/lib "$work/lib"
  version=$(basename "$work"/usr/lib/modules/*)
  depmod -b "$work" "$version"
  modprobe -d "$work" -S "$version" --show-depends -a virtio_pci virtio_blk ext4 | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
    while read -r module; do
      xz -dc "$module" >"$work/tree/modules/$count"
      count=$((count + 1))
    done
  pack_initrd "$work/tree" >"$2/initrd"
  rm -rf "$work"
}
pack_initrd() { (cd "$1" && find . | cpio --quiet --create --format=newc --owner=0:0 | gzip -1); }
