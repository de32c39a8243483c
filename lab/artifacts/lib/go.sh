#!/usr/bin/env bash
# Recipes of everything that is compiled from Go modules. Each `make_*` takes the directory to fill, and runs in an empty scratch
# directory of its own. Sourced by ../build.
set -euo pipefail

export CGO_ENABLED=0
# -mod=mod: the go.mod files made here name only the main requirement, and Go completes them; every module is checked against the
# public checksum database. -buildvcs: the scratch directory may lie in somebody's git repository.
export GOFLAGS='-mod=mod -buildvcs=false'
export GOWORK=off

# strip_and_set [PACKAGE.VARIABLE=VALUE …] — linker flags: no symbol tables (a third of the size), and the given string variables.
strip_and_set() {
  local flags='-s -w' assignment
  for assignment in "$@"; do flags+=" -X $assignment"; done
  printf '%s' "$flags"
}

# module_info FIELD MODULE@VERSION — prints where a downloaded module keeps its Dir or GoMod; downloads it if need be.
module_info() {
  local info
  info=$(go mod download -json "$2") || { printf '%s\n' "$info" >&2; return 1; }
  sed -n "s/^\t\"$1\": \"\(.*\)\",\?$/\1/p" <<<"$info"
}

# start_module MODULE@VERSION… — a go.mod in the current directory that requires these modules, with the first one's Go version, on
# which the defaults of its run-time settings depend.
start_module() {
  local modfile go_version module
  modfile=$(module_info GoMod "$1")
  go_version=$(awk '$1 == "go" { print $2 }' "$modfile")
  printf 'module tailkube.invalid/build\n\ngo %s\n' "$go_version" >go.mod
  for module in "$@"; do go mod edit -require="$module"; done
}

# install_commands LDFLAGS OUT VERSION PACKAGE… — for modules that can be built as they are. OUT is absolute.
install_commands() {
  local ldflags=$1 out=$2 version=$3
  shift 3
  GOBIN=$out go install -trimpath -ldflags "$ldflags" "${@/%/@$version}"
}

# try_official DIRECTORY NAME… — fetches Kubernetes' published binaries, checked by their published checksums. Fails at once where
# the site cannot be reached: one short probe decides.
try_official() {
  local out=$1 name arch
  local site="https://dl.k8s.io/v$KUBERNETES_VERSION/bin/linux/"
  shift
  arch=$(go env GOARCH)
  site+=$arch
  curl --silent --fail --location --head --max-time 3 --output /dev/null "$site/$1.sha256" || return 1
  for name in "$@"; do
    curl --silent --show-error --fail --location --output "$out/$name" "$site/$name" || return 1
    printf '%s  %s\n' "$(curl --silent --fail --location "$site/$name.sha256")" "$out/$name" | sha256sum --check --quiet || return 1
    chmod 0755 "$out/$name"
  done
}

make_kubernetes() {
  local out=$1 version=v$KUBERNETES_VERSION modfile module package variables=()
  local names=(kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler)
  if try_official "$out" "${names[@]}"; then return; fi

  start_module "k8s.io/kubernetes@$version"
  modfile=$(module_info GoMod "k8s.io/kubernetes@$version")
  # The staging modules are published as v0.<minor>.<patch>, but kubernetes' own go.mod names them as v0.0.0. (The requirement is for
  # the names of source files in the binaries.)
  # shellcheck disable=SC2013 # the names have no spaces
  for module in $(awk '$2 == "v0.0.0" { print $1 }' "$modfile"); do
    go mod edit -require="$module@v0.${KUBERNETES_VERSION#*.}" -replace="$module=$module@v0.${KUBERNETES_VERSION#*.}"
  done
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    variables+=("$package.gitVersion=$version" "$package.gitMajor=${KUBERNETES_VERSION%%.*}" "$package.gitTreeState=clean")
    variables+=("$package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")")
  done
  go build -trimpath -ldflags "$(strip_and_set "${variables[@]}")" -o "$out/" "${names[@]/#/k8s.io/kubernetes/cmd/}"
}

make_containerd() {
  local module=github.com/containerd/containerd/v2
  install_commands "$(strip_and_set "$module/version.Version=v$CONTAINERD_VERSION")" "$1" "v$CONTAINERD_VERSION" \
    $module/cmd/containerd $module/cmd/containerd-shim-runc-v2 $module/cmd/ctr
}

make_tailscale() {
  local version=tailscale.com/version
  install_commands "$(strip_and_set "$version.shortStamp=$TAILSCALE_VERSION" "$version.longStamp=$TAILSCALE_VERSION")" "$1" \
    "v$TAILSCALE_VERSION" tailscale.com/cmd/tailscale tailscale.com/cmd/tailscaled
}

make_helm() {
  local module=helm.sh/helm/v3
  install_commands "$(strip_and_set "$module/internal/version.version=v$HELM_VERSION")" "$1" "v$HELM_VERSION" $module/cmd/helm
}

make_etcd() {
  # Not installable as they are: their go.mod files replace the sibling modules by directories.
  start_module "go.etcd.io/etcd/server/v3@v$ETCD_VERSION" "go.etcd.io/etcd/etcdctl/v3@v$ETCD_VERSION"
  go build -trimpath -ldflags "$(strip_and_set)" -o "$1/etcd" go.etcd.io/etcd/server/v3
  go build -trimpath -ldflags "$(strip_and_set)" -o "$1/etcdctl" go.etcd.io/etcd/etcdctl/v3
}

make_coredns() {
  start_module "github.com/coredns/coredns@v$COREDNS_VERSION"
  cp "${artifacts:?}/coredns/main.go" .
  go build -trimpath -ldflags "$(strip_and_set)" -o "$1/coredns" .
}

make_pause() {
  cp "${artifacts:?}/pause/main.go" .
  printf 'module tailkube.invalid/pause\n\ngo 1.26\n' >go.mod
  go build -trimpath -ldflags "$(strip_and_set)" -o "$1/pause" .
}

make_loopback() {
  install_commands "$(strip_and_set)" "$1" "v$CNI_PLUGINS_VERSION" github.com/containernetworking/plugins/plugins/main/loopback
}
