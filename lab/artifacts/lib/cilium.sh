#!/usr/bin/env bash
# Recipes of Cilium: its binaries, and the agent's image, which is a small Debian with what the agent, its init containers and its
# scripts call. Sourced by ../build.
set -euo pipefail

# Cilium's binaries (bin/, operator/), and what else of its module the image (bpf/, scripts) and the operator's machine (chart/) need.
make_cilium() {
  local out=$1 module=github.com/cilium/cilium version=v$CILIUM_VERSION source ldflags
  source=$(module_info Dir "$module@$version")
  # A copy, because the module cache is read-only and go.mod is changed.
  cp -r --no-preserve=mode "$source" cilium
  rm -rf cilium/vendor

  mkdir -p "$out"/{bin,operator,scripts}
  cp -r cilium/install/kubernetes/cilium "$out/chart"
  cp -r cilium/bpf "$out/bpf"
  rm -rf "$out/bpf/tests" "$out/bpf/complexity-tests"
  install -m 0755 cilium/images/cilium/init-container.sh cilium/plugins/cilium-cni/{install-plugin,cni-uninstall}.sh "$out/scripts/"

  # Three words, as `cilium-dbg` and the agent's status read them: version, revision, date. A module has no revision.
  ldflags=$(strip_and_set "'$module/pkg/version.ciliumVersion=$CILIUM_VERSION module $(module_time "$module@$version")'")
  cd cilium
  replace_missing_modules
  go build -trimpath -tags osusergo -ldflags "$ldflags" -o "$out/bin/" \
    ./daemon ./plugins/cilium-cni ./cilium-dbg ./cilium-health ./cilium-health/responder ./tools/mount ./tools/sysctlfix
  go build -trimpath -tags osusergo,ipam_provider_operator -ldflags "$ldflags" -o "$out/operator/cilium-operator-generic" ./operator
  cd "$out/bin"
  mv daemon cilium-agent
  mv responder cilium-health-responder
  mv mount cilium-mount
  mv sysctlfix cilium-sysctlfix
}

# module_time MODULE@VERSION — when the version was made.
module_time() {
  sed -n 's/.*"Time":"\([^"]*\)".*/\1/p' "$(module_info Info "$1")"
}

# In Cilium's folder: it requires modules at commits that the module proxy does not have. The next release of gobgp fits as well; of
# the controllers Cilium uses one constant.
replace_missing_modules() {
  local mcs=sigs.k8s.io/mcs-api/controllers
  if grep -q 'github.com/osrg/gobgp/v4 v4.6.1-' go.mod; then go mod edit -require=github.com/osrg/gobgp/v4@v4.8.0; fi
  if grep -q "$mcs " go.mod; then
    mkdir ../mcs
    printf 'module %s\n\ngo 1.26.0\n' "$mcs" >../mcs/go.mod
    printf 'package controllers\n\nconst DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"\n' \
      >../mcs/controllers.go
    go mod edit -replace="$mcs=../mcs"
  fi
}

# What the agent and the chart's containers run: clang compiles its eBPF programs, ipset and iptables mark and masquerade, nsenter
# (util-linux) starts the helpers in the host's namespaces, modprobe (kmod) loads what the kernel still lacks. bpftool is for people.
readonly cilium_packages=(
  "clang-$LLVM_VERSION" bpftool iptables ipset iproute2 util-linux mount kmod ca-certificates
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

  ln -s "/usr/bin/clang-$LLVM_VERSION" "$root/usr/local/bin/clang"
}

trim() {
  local root=$1 pattern
  (
    cd "$root"
    shopt -s nullglob
    # shellcheck disable=SC2086 # the patterns are meant to expand
    for pattern in "${unneeded_files[@]}"; do rm -rf ./$pattern; done
    find "usr/lib/llvm-$LLVM_VERSION/bin" -mindepth 1 ! -name 'clang*' -delete
    # /usr/bin is full of symlinks to the tools that have just gone.
    find usr/bin -xtype l \( -lname '*llvm*' -o -lname '*-linux-gnu-*' \) -delete
  )
}

# A trimmed compiler that no longer compiles would only be noticed on the hosts.
check_cilium_root() {
  local root=$1 command
  for command in cilium-agent cilium-dbg cilium cilium-health cilium-health-responder clang bpftool iptables ip6tables \
    iptables-nft-save iptables-legacy-save ipset ip tc nsenter mount modprobe bash; do
    chroot "$root" sh -c "command -v $command" || return 1
  done
  chroot "$root" bpftool version
  # As the agent calls it (pkg/datapath/loader/compile.go), warnings included.
  chroot "$root" sh -c 'cd /var/lib/cilium/bpf && clang -O2 -g --target=bpf -std=gnu99 -nostdinc -I. -Iinclude \
    -ftrap-function=__undefined_trap -Wall -Wextra -Werror -Wshadow -Wno-address-of-packed-member -Wno-unknown-warning-option \
    -Wno-gnu-variable-sized-type-not-at-end -Wimplicit-int-conversion -Wenum-conversion -Wimplicit-fallthrough -mcpu=v3 \
    -c bpf_lxc.c -o /dev/null'
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
