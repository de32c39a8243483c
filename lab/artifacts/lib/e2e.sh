#!/usr/bin/env bash
# Recipe of Kubernetes' own end-to-end tests, their runner, and the programs of the images that they start. Sourced by ../build.
set -euo pipefail

# agnhost is what most tests run in their pods. The images' tags are the tests' business (`e2e.test --list-images`).
make_e2e() {
  local out=$1 version=v$KUBERNETES_VERSION module package modfile agnhost_version variables=()
  start_module "k8s.io/kubernetes@$version"
  modfile=$(module_info GoMod "k8s.io/kubernetes@$version")
  # As for Kubernetes' own programs (go.sh): its go.mod names the staging modules as v0.0.0.
  # shellcheck disable=SC2013 # the names have no spaces
  for module in $(awk '$2 == "v0.0.0" { print $1 }' "$modfile"); do
    go mod edit -require="$module@v0.${KUBERNETES_VERSION#*.}" -replace="$module=$module@v0.${KUBERNETES_VERSION#*.}"
  done
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    variables+=("$package.gitVersion=$version" "$package.gitMajor=${KUBERNETES_VERSION%%.*}" "$package.gitTreeState=clean")
    variables+=("$package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")")
  done
  agnhost_version=$(<"$(module_info Dir "k8s.io/kubernetes@$version")/test/images/agnhost/VERSION")

  go build -trimpath -ldflags "$(strip_and_set "main.Version=$agnhost_version")" -o "$out/agnhost" k8s.io/kubernetes/test/images/agnhost
  go build -trimpath -ldflags "$(strip_and_set)" -o "$out/nnp" k8s.io/kubernetes/test/images/nonewprivs
  # Of the version that the tests are made with, which it asks for.
  go build -trimpath -ldflags "$(strip_and_set)" -o "$out/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
  go test -c -vet=off -trimpath -ldflags "$(strip_and_set "${variables[@]}")" -o "$out/e2e.test" k8s.io/kubernetes/test/e2e
}
