#!/usr/bin/env bash
# Recipes of Cilium: its binaries, and the agent's image, which is a small Debian with what the agent, its init containers and its
# scripts call. Sourced by ../build.
set -euo pipefail

# Cilium's binaries (bin/, operator/), and what else of its module the image (bpf/, scripts) and the operator's machine (chart/) need.
make_cilium() {
  local out=$1 source datapath ldflags package
  source=$(module_info Dir "github.com/cilium/cilium@v$CILIUM_VERSION")
  # A copy, because the module cache is read-only and one function is replaced.
  cp -r --no-preserve=mode "$source" cilium
  rm -rf cilium/vendor
  tolerate_missing_proc_modules cilium/pkg/datapath/linux/modules

  mkdir -p "$out"/{bin,operator,scripts}
  cp -r cilium/install/kubernetes/cilium "$out/chart"
  cp -r cilium/bpf "$out/bpf"
  rm -rf "$out/bpf/tests" "$out/bpf/complexity-tests"
  install -m 0755 cilium/images/cilium/init-container.sh cilium/plugins/cilium-cni/{install-plugin,cni-uninstall}.sh "$out/scripts/"

  # The agent names its cache of compiled programs by this hash.
  datapath=$(cd "$out" && find bpf -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum | cut -d' ' -f1)
  package=github.com/cilium/cilium/pkg
  ldflags=$(strip_and_set "$package/version.ciliumVersion=$CILIUM_VERSION" "$package/datapath/loader.DatapathSHA256=$datapath")
  cd cilium
  go build -trimpath -tags osusergo -ldflags "$ldflags" -o "$out/bin/" \
    ./daemon ./plugins/cilium-cni ./cilium-dbg ./cilium-health ./cilium-health/responder ./tools/mount ./tools/sysctlfix
  go build -trimpath -tags osusergo,ipam_provider_operator -ldflags "$ldflags" -o "$out/operator/cilium-operator-generic" ./operator
  cd "$out/bin"
  mv daemon cilium-agent
  mv responder cilium-health-responder
  mv mount cilium-mount
  mv sysctlfix cilium-sysctlfix
}

# tolerate_missing_proc_modules DIRECTORY — Cilium's agent does not start on a kernel that was built without loadable modules, which
# has no /proc/modules. Such a kernel has none loaded: that is an answer, not an error.
tolerate_missing_proc_modules() {
  sed -i 's/^func listLoadedModules()/func readLoadedModules()/' "$1/modules_linux.go"
  grep -q '^func readLoadedModules()' "$1/modules_linux.go"
  cat >"$1/missing_linux.go" <<'GO'
package modules

import (
	"errors"
	"os"
)

func listLoadedModules() ([]string, error) {
	names, err := readLoadedModules()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return names, err
}
GO
}

# What the agent and the chart's containers run: clang and llc compile its eBPF programs, ipset and iptables mark and masquerade,
# nsenter (util-linux) starts the helpers in the host's namespaces, modprobe (kmod) loads what the kernel still lacks.
readonly cilium_packages=(
  "clang-$LLVM_VERSION" "llvm-$LLVM_VERSION" bpftool iptables ipset iproute2 util-linux mount kmod ca-certificates
)

# Files of these packages (and of those they depend on) that nothing in the image needs. The compiler is only ever asked for eBPF
# objects, without any system header (-nostdinc), so everything for building and linking programs of the host can go.
readonly unneeded_files=(
  usr/share/{doc,man,info,locale,lintian,bug,perl,gcc,polkit-1} usr/include usr/lib/{gcc,bfd-plugins} 'usr/bin/*-linux-gnu-*'
  'usr/lib/*-linux-gnu/'{perl,gconv,'*.a','*.o'} 'usr/lib/*-linux-gnu/lib'{asan,tsan,ubsan,lsan,hwasan,'clang-[0-9]'}'*'
  'usr/lib/*-linux-gnu/lib'{bfd,opcodes,ctf,gprofng,perl,objc}'*'
  "usr/lib/llvm-$LLVM_VERSION/"{share,lib/LLVM*,lib/cmake,lib/libLTO*}
  var/cache/apt var/lib/apt var/log/'*'
)

readonly cilium_image_config='{
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "INITSYSTEM=SYSTEMD"],
  "WorkingDir": "/home/cilium",
  "Cmd": ["/usr/bin/cilium-dbg"]
}'

# Where the chart, the agent's own code and the scripts expect to find things.
place_cilium() {
  local root=$1 cilium
  cilium=$(item_path cilium)
  install -d "$root"/{cni,opt/cni/bin,home/cilium,var/lib/cilium}
  install "$cilium"/bin/* "$root/usr/bin/"
  mv "$root/usr/bin/cilium-cni" "$root/opt/cni/bin/"
  ln -s cilium-dbg "$root/usr/bin/cilium"
  install "$(item_path loopback)/loopback" "$root/cni/"
  install "$cilium"/scripts/*.sh "$root/"
  cp -r "$cilium/bpf" "$root/var/lib/cilium/"

  # The agent compiles with -Werror, and a compiler newer than the one it was released with knows more warnings.
  # shellcheck disable=SC2016 # "$@" belongs to the script that is written here
  printf '#!/bin/sh\nexec /usr/bin/clang-%s "$@" -Wno-error\n' "$LLVM_VERSION" >"$root/usr/local/bin/clang"
  chmod 0755 "$root/usr/local/bin/clang"
  ln -s "/usr/bin/llc-$LLVM_VERSION" "$root/usr/local/bin/llc"
}

trim() {
  local root=$1 pattern
  (
    cd "$root"
    shopt -s nullglob
    # shellcheck disable=SC2086 # the patterns are meant to expand
    for pattern in "${unneeded_files[@]}"; do rm -rf ./$pattern; done
    find "usr/lib/llvm-$LLVM_VERSION/bin" -mindepth 1 ! -name 'clang*' ! -name llc -delete
    # /usr/bin is full of symlinks to the tools that have just gone.
    find usr/bin -xtype l \( -lname '*llvm*' -o -lname '*-linux-gnu-*' \) -delete
  )
}

# A trimmed compiler that no longer compiles would only be noticed on the hosts.
check_cilium_root() {
  local root=$1 command
  for command in cilium-agent cilium-dbg cilium cilium-health cilium-health-responder clang llc bpftool iptables ip6tables \
    iptables-nft-save iptables-legacy-save ipset ip tc nsenter mount modprobe bash; do
    chroot "$root" sh -c "command -v $command" || return 1
  done
  chroot "$root" llc --version
  chroot "$root" bpftool version
  chroot "$root" sh -c 'cd /var/lib/cilium/bpf && clang -O2 -g --target=bpf -std=gnu89 -nostdinc -I. -Iinclude \
    -D__NR_CPUS__=2 -Wall -Wextra -Werror -mcpu=v2 -c bpf_lxc.c -o /dev/null'
}

make_cilium_image() {
  local out=$1 ref=quay.io/cilium/cilium:v$CILIUM_VERSION
  mmdebstrap --mode=root --variant=essential --aptopt='APT::Install-Recommends "false"' \
    --include="$(IFS=,; printf '%s' "${cilium_packages[*]}")" "$DEBIAN_SUITE" root
  trim root
  place_cilium root
  check_cilium_root root
  write_image "$out/cilium.tar" "$ref" root "$cilium_image_config"
  record_image "$out" cilium.tar "$ref" control-plane,worker
}
