#!/usr/bin/env bash
# Recipe of etcdutl, which restores etcd's snapshots; published images have it beside etcdctl. Sourced by ../build.
set -euo pipefail

make_etcdutl() {
  start_module "go.etcd.io/etcd/etcdutl/v3@v$ETCD_VERSION"
  go build -trimpath -ldflags "$(strip_and_set)" -o "$1/etcdutl" go.etcd.io/etcd/etcdutl/v3
}
