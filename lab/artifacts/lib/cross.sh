#!/usr/bin/env bash
# What differs where artifacts are built for another architecture than the machine's: nothing that was built can be run. Sourced by
# ../build after the other recipes.
set -euo pipefail
: "${native[kubernetes]:?}" "${GOARCH:?}" "${cilium_packages[0]:?}" "${cilium_image_config:?}"

# `go install` has no other place for programs of another architecture.
install_commands() {
  local ldflags=$1 out=$2 version=$3
  shift 3
  GOMODCACHE=$(go env GOMODCACHE) GOPATH=$PWD/path go install -trimpath -ldflags "$ldflags" "${@/%/@$version}"
  mv "path/bin/linux_$GOARCH"/* "$out/"
}

kubeadm_image() {
  GOARCH='' "${native[kubernetes]}/kubeadm" config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep "/$1:"
}

# The packages are only unpacked, which is enough for what Cilium runs; their scripts would have made these links and this file.
make_cilium_image() {
  local out=$1 ref=quay.io/cilium/cilium:v$CILIUM_VERSION name
  mmdebstrap --mode=root --variant=extract --architectures="$GOARCH" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='APT::Install-Recommends "false"' \
    --include="$(IFS=,; printf '%s' "bash,coreutils,dash,grep,sed,findutils,gawk,${cilium_packages[*]}")" "$DEBIAN_SUITE" root
  for name in {ip,ip6}tables{,-save,-restore}; do ln -s "$name-nft" "root/usr/sbin/$name"; done
  ln -s gawk root/usr/bin/awk
  cp /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/
  trim root
  place_cilium root
  write_image "$out/cilium.tar" "$ref" root "$cilium_image_config"
  record_image "$out" cilium.tar "$ref" control-plane,worker
}
