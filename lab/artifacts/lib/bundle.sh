#!/usr/bin/env bash
# Recipe of the offline bundle itself, put together from the other items with hard links. Sourced by ../build.
set -euo pipefail

# list_json NAME ELEMENT… — a JSON list, one element a line.
list_json() {
  local name=$1 separator=''
  shift
  printf '  "%s": [' "$name"
  for element in "$@"; do
    printf '%s\n    %s' "$separator" "$element"
    separator=,
  done
  printf '\n  ]'
}

sum_of() {
  sha256sum "$1" | cut -d' ' -f1
}

# The description that the product reads; file format 1. Paths are relative to the bundle.
describe_bundle() {
  local path ref roles files=() images=()
  for path in bin/*; do
    files+=("{\"path\": \"$path\", \"sha256\": \"$(sum_of "$path")\"}")
  done
  while read -r ref path roles; do
    images+=("{\"path\": \"$path\", \"sha256\": \"$(sum_of "$path")\", \"ref\": \"$ref\", \"roles\": [\"${roles//,/\", \"}\"]}")
  done <images.list
  printf '{\n  "format": 1,\n  "arch": "%s",\n' "$(go env GOARCH)"
  printf '  "kubernetesVersion": "%s",\n  "containerdVersion": "%s",\n' "$KUBERNETES_VERSION" "$CONTAINERD_VERSION"
  printf '  "tailscaleVersion": "%s",\n  "ciliumVersion": "%s",\n' "$TAILSCALE_VERSION" "$CILIUM_VERSION"
  list_json files "${files[@]}"
  printf ',\n'
  list_json images "${images[@]}"
  printf '\n}\n'
}

make_bundle() {
  local out=$1
  mkdir -p "$out"/{bin,images,charts,operator}
  cp -l "$(item_path kubernetes)"/{kubeadm,kubelet,kubectl} "$(item_path containerd)"/* "$(item_path tailscale)"/* "$out/bin/"
  cp -l "$(item_path images)"/*.tar "$(item_path hubble_images)"/*.tar "$out/images/"
  cat "$(item_path images)/images.list" "$(item_path hubble_images)/images.list" >"$out/images.list"
  cp -r "$(item_path cilium)/chart" "$out/charts/cilium"
  cp -l "$(item_path helm)/helm" "$out/operator/"
  ln -s ../bin/kubectl "$out/operator/kubectl"
  cd "$out"
  describe_bundle >bundle.json
  sha256sum bin/* images/* >SHA256SUMS
}
