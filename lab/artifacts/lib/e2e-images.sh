#!/usr/bin/env bash
# Recipe of the images that Kubernetes' tests of network and nodes start, under the names that they ask for. The originals are made of
# Alpine's, Docker's and Debian's images, which no package or module has: these are made of Debian's packages. Sourced by ../build.
set -euo pipefail

# With 1.37's BusyBox, the version that the tests name, where bookworm's is 1.35.
readonly e2e_suite=trixie
# What the Dockerfiles of agnhost, glibc-dns-testing and nginx install, by Debian's names.
readonly e2e_packages=(
  bash bind9-dnsutils ca-certificates curl iperf iproute2 netcat-openbsd nginx procps socat util-linux
)

# debian_root OUT VARIANT PACKAGE… — a root file system with these packages, without what no test reads.
debian_root() {
  local root=$1 variant=$2 options=() option
  shift 2
  # Where this machine's apt is told not to look at the age of an index, its mirror needs it here too.
  while read -r option; do options+=(--aptopt="$option"); done < <(apt-config dump | grep '^Acquire::Check-' || true)
  for option in doc man locale info; do options+=(--dpkgopt="path-exclude=/usr/share/$option/*"); done
  mmdebstrap --mode=root --variant="$variant" --aptopt='APT::Install-Recommends "false"' "${options[@]}" \
    --include="$(IFS=,; printf '%s' "$*")" "$e2e_suite" "$root"
  rm -rf "$root"/etc/apt "$root"/var/{cache/apt,lib/apt,log,cache/debconf,cache/ldconfig}/* "$root"/usr/share/{doc,man,info,locale,lintian}
}

# One layer for all images that need a shell, so that a host unpacks it once: agnhost's files, and nginx with its page on port 80.
make_tools_root() {
  local root=$1 porter
  debian_root "$root" essential "${e2e_packages[@]}"
  install -d "$root/uploads" "$root/var/log/nginx"
  porter=$(module_info Dir "k8s.io/kubernetes@v$KUBERNETES_VERSION")/test/images/agnhost/porter
  install -m 0644 "$porter"/localhost.{crt,key} "$root/"
  install -m 0755 "$(item_path e2e)/agnhost" "$root/agnhost"
  ln -s agnhost "$root/agnhost-2"
  # A test reads the groups of the image's own user.
  printf 'user-defined-in-image:x:1000:1000::/:/bin/sh\n' >>"$root/etc/passwd"
  printf 'user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n' >>"$root/etc/group"
}

# The image's `sh`: BusyBox's shell, whose messages tests compare. The original's gives its children all variables it has got, Debian's
# drops those whose names no shell can use (data-1), which tests give to pods. With one of these, `sh` is bash.
busybox_sh() {
  cat <<'END'
#!/bin/bash
if /bin/busybox env -0 | while IFS='=' read -r -d '' name _; do
    [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || exit 1
done; then
    exec -a "$0" /bin/busybox "$@"
fi
exec -a "$0" /bin/bash "$@"
END
}

# All applets in /bin, as in Docker's image.
make_busybox_root() {
  local root=$1 applet
  mkdir "$root"
  debian_root unpacked extract busybox-static bash-static
  install -d "$root"/{bin,etc,home,root,tmp,usr/bin,usr/sbin,var/www,var/spool/mail,dev,proc,sys}
  chmod 1777 "$root/tmp"
  install -m 0755 unpacked/usr/bin/busybox "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do
    [[ $applet =~ ^(busybox|sh)$ ]] || ln "$root/bin/busybox" "$root/bin/$applet"
  done
  install -m 0755 unpacked/usr/bin/bash-static "$root/bin/bash"
  busybox_sh >"$root/bin/sh"
  chmod 0755 "$root/bin/sh"
  ln -s ../../bin/env "$root/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnobody:x:65534:\n' >"$root/etc/group"
}

# refs_of NAME — the references, with tags, under which these tests look for an image.
refs_of() {
  "$(item_path e2e)/e2e.test" --list-images 2>/dev/null | grep -E "^registry\.k8s\.io/e2e-test-images/$1:"
}

readonly e2e_path='"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]'

# add_image OUT NAME ROOT CONFIG — one file, listed once for each of its references.
add_image() {
  local out=$1 name=$2 root=$3 config=$4 ref refs sum
  refs=$(refs_of "$name")
  write_image "$out/$name.tar" "${refs%%$'\n'*}" "$root" "$config"
  sum=$(sha256sum "$out/$name.tar" | cut -d' ' -f1)
  for ref in $refs; do printf '%s\t%s\t%s\n' "$ref" "$name.tar" "$sum" >>images.list; done
}

# What the tests call: a program that is missing would look like a fault of the cluster.
check_e2e_roots() {
  local command
  for command in bash curl dig getent ip iperf nc nginx ps seq sh socat ss; do
    chroot tools sh -c "command -v $command" || return 1
  done
  chroot tools nginx -t
  chroot tools /agnhost --version
  for command in cat echo false grep hostname id ls nc nslookup printf seq sh sleep stat sysctl tail test touch true wget whoami; do
    chroot busybox sh -c "command -v $command" || return 1
  done
  env data-1=kept chroot busybox sh -c env | grep -x data-1=kept
  { chroot busybox sh -c ': >/none/file' || true; } 2>&1 | grep -x "/bin/sh: can't create /none/file: nonexistent directory"
}

make_e2e_images() {
  local out=$1
  make_tools_root tools
  make_busybox_root busybox
  check_e2e_roots
  add_image "$out" agnhost tools "{$e2e_path,\"WorkingDir\":\"/\",\"Entrypoint\":[\"/agnhost\"],\"Cmd\":[\"pause\"]}"
  add_image "$out" glibc-dns-testing tools "{$e2e_path,\"WorkingDir\":\"/\",\"Cmd\":[\"bash\"]}"
  add_image "$out" nginx tools "{$e2e_path,\"WorkingDir\":\"/\",\"Cmd\":[\"nginx\",\"-g\",\"daemon off;\"],\"StopSignal\":\"SIGQUIT\"}"
  add_image "$out" busybox busybox "{$e2e_path,\"WorkingDir\":\"/\",\"Cmd\":[\"sh\"]}"

  mkdir -p nonewprivs/{tmp,usr/local/bin}
  install -m 6755 "$(item_path e2e)/nnp" nonewprivs/usr/local/bin/nnp
  add_image "$out" nonewprivs nonewprivs "{$e2e_path,\"WorkingDir\":\"/\",\"Cmd\":[\"nnp\"]}"

  jq -R -s --arg arch "$(go env GOARCH)" '{$arch, images: [split("\n")[] | select(. != "") | split("\t") | {ref: .[0], path: .[1], sha256: .[2]}]}' \
    images.list >"$out/images.json"
}
