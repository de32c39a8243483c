#!/usr/bin/env bash
# Recipes of Debian packages with the names, dependencies, files, units and conffiles that pkgs.k8s.io, pkgs.tailscale.com and
# download.docker.com give theirs, from the same binaries as the bundle; and of what only packages and a mirror need. By
# cmd/krel/templates/latest in kubernetes/release, release/ in tailscale.com and docker/containerd-packaging. Sourced by ../build.
set -euo pipefail

make_crictl() {
  local module=sigs.k8s.io/cri-tools
  start_module "$module@v$CRI_TOOLS_VERSION"
  go build -trimpath -ldflags "$(strip_and_set "$module/pkg/version.Version=$CRI_TOOLS_VERSION")" -o "$1/crictl" $module/cmd/crictl
}

make_cni_plugins() {
  local module=github.com/containernetworking/plugins name packages=()
  for name in main/{bridge,dummy,host-device,ipvlan,loopback,macvlan,ptp,tap,vlan} ipam/{dhcp,host-local,static} \
    meta/{bandwidth,firewall,portmap,sbr,tuning,vrf}; do packages+=("$module/plugins/$name"); done
  start_module "$module@v$KUBERNETES_CNI_VERSION"
  go build -trimpath -ldflags "$(strip_and_set "$module/pkg/utils/buildversion.BuildVersion=v$KUBERNETES_CNI_VERSION")" -o "$1/" "${packages[@]}"
}

make_registry() {
  local module=github.com/distribution/distribution/v3
  start_module "$module@v$REGISTRY_VERSION"
  go build -trimpath -ldflags "$(strip_and_set "$module/version.version=v$REGISTRY_VERSION")" -o "$1/registry" $module/cmd/registry
}

# package OUT NAME VERSION FIELD… — a package of the tree ./root, which is used up. Its scripts are in ./root/DEBIAN, its fields the
# lines of DEBIAN/control beside the usual ones; all files in /etc but those that keep a folder are its conffiles.
package() {
  local out=$1 name=$2 version=$3
  shift 3
  mkdir -p root/DEBIAN
  if [[ -d root/etc ]]; then (cd root && find etc -type f ! -name '.*-keep' -printf '/%p\n' | sort) >root/DEBIAN/conffiles; fi
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$name" "$version" "$(dpkg --print-architecture)"
    printf 'Maintainer: The lab of tailkube <lab@tailkube.invalid>\nInstalled-Size: %s\n' "$(du -sk root | cut -f1)"
    printf '%s\n' "$@"
  } >root/DEBIAN/control
  # Quick, for a network that is this machine's own.
  dpkg-deb --root-owner-group -Zgzip -z1 --build root "$out" >/dev/null
  rm -rf root
}

# unit_script postinst|prerm|postrm UNIT — as debhelper writes them for a unit that is not enabled by itself.
# shellcheck disable=SC2016 # the variables are the scripts' own
unit_script() {
  mkdir -p root/DEBIAN
  {
    printf '#!/bin/sh\nset -e\n'
    case $1 in
      postinst) printf 'deb-systemd-helper unmask %s >/dev/null || true\ndeb-systemd-helper update-state %s >/dev/null || true\n' "$2" "$2" ;;
      prerm) printf 'if [ "$1" = remove ] && [ -d /run/systemd/system ]; then deb-systemd-invoke stop %s >/dev/null || true; fi\n' "$2" ;;
      postrm) printf 'if [ "$1" = purge ]; then deb-systemd-helper purge %s >/dev/null || true; fi\n' "$2" ;;
    esac
    printf 'if [ -d /run/systemd/system ]; then systemctl --system daemon-reload >/dev/null || true; fi\n'
  } >"root/DEBIAN/$1"
  chmod 0755 "root/DEBIAN/$1"
}

package_kubernetes() {
  local out=$1 revision=$KUBERNETES_VERSION-1.1 binaries script
  binaries=$(item_path kubernetes)

  install -D -m 0755 "$binaries/kubelet" root/usr/bin/kubelet
  install -d root/var/lib/kubelet root/etc/kubernetes/manifests root/etc/default
  touch root/var/lib/kubelet/.kubelet-keep root/etc/kubernetes/manifests/.kubelet-keep
  printf 'KUBELET_EXTRA_ARGS=\n' >root/etc/default/kubelet
  install -D -m 0600 /dev/stdin root/usr/lib/systemd/system/kubelet.service <<'END'
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
END
  for script in postinst prerm postrm; do unit_script $script kubelet.service; done
  package "$out" kubelet "$revision" 'Depends: kubernetes-cni (>= 1.2.0), mount, util-linux' 'Recommends: iptables (>= 1.8.4)' \
    'Section: net' 'Priority: optional' 'Homepage: https://kubernetes.io' 'Description: Node agent for Kubernetes clusters'

  install -D -m 0755 "$binaries/kubeadm" root/usr/bin/kubeadm
  install -D -m 0644 /dev/stdin root/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf <<'END'
# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
END
  # No dependencies since 1.32.
  package "$out" kubeadm "$revision" 'Section: admin' 'Priority: optional' 'Homepage: https://kubernetes.io' \
    'Description: Command-line utility for administering a Kubernetes cluster'

  install -D -m 0755 "$binaries/kubectl" root/usr/bin/kubectl
  package "$out" kubectl "$revision" 'Section: admin' 'Priority: optional' 'Homepage: https://kubernetes.io' \
    'Description: Command-line utility for interacting with a Kubernetes cluster'

  install -D -m 0755 -t root/opt/cni/bin "$(item_path cni_plugins)"/*
  install -D -m 0644 /dev/null root/etc/cni/net.d/.kubernetes-cni-keep
  package "$out" kubernetes-cni "$KUBERNETES_CNI_VERSION-1.1" 'Section: net' 'Priority: optional' 'Homepage: https://kubernetes.io' \
    'Description: Binaries required to provision kubernetes container networking'

  install -D -m 0755 "$(item_path crictl)/crictl" root/usr/bin/crictl
  package "$out" cri-tools "$CRI_TOOLS_VERSION-1.1" 'Section: admin' 'Priority: optional' 'Homepage: https://kubernetes.io' \
    'Description: Command-line utility for interacting with a container runtime'
}

# With the units, the conffile and the scripts of its own module.
package_tailscale() {
  local out=$1 module script
  module=$(module_info Dir "tailscale.com@v$TAILSCALE_VERSION")
  install -D -m 0755 "$(item_path tailscale)/tailscale" root/usr/bin/tailscale
  install -D -m 0755 "$(item_path tailscale)/tailscaled" root/usr/sbin/tailscaled
  install -D -m 0644 -t root/lib/systemd/system "$module"/cmd/tailscaled/*.{service,target}
  install -D -m 0644 "$module/cmd/tailscaled/tailscaled.defaults" root/etc/default/tailscaled
  for script in postinst prerm postrm; do install -D -m 0755 "$module/release/deb/debian.$script.sh" "root/DEBIAN/$script"; done
  package "$out" tailscale "$TAILSCALE_VERSION" 'Depends: iptables' 'Recommends: tailscale-archive-keyring (>= 1.35.181), iproute2' \
    'Replaces: tailscale-relay' 'Conflicts: tailscale-relay' 'Section: net' 'Priority: extra' 'Homepage: https://www.tailscale.com' \
    'Description: The easiest, most secure, cross platform way to use WireGuard + oauth2 + 2FA/SSO'
}

# download_package NAME — the package of this Debian, for the architecture that is built for.
download_package() {
  local options=(-qq -o "APT::Architecture=$(go env GOARCH)" -o "APT::Architectures::=$(go env GOARCH)")
  options+=(-o "Dir::State=$PWD/apt" -o Dir::State::status=/dev/null -o "Dir::Cache=$PWD/apt")
  mkdir -p apt/lists/partial
  apt-get "${options[@]}" update
  apt-get "${options[@]}" download "$1"
}

# As Docker's, whose CRI is off, and which brings a runc: here Debian's.
package_containerd() {
  local out=$1 module
  module=$(module_info Dir "github.com/containerd/containerd/v2@v$CONTAINERD_VERSION")
  download_package runc
  dpkg-deb --extract runc_*.deb runc
  install -D -m 0755 -t root/usr/bin "$(item_path containerd)"/* runc/usr/sbin/runc
  install -D -m 0644 /dev/stdin root/etc/containerd/config.toml <<'END'
# CRI is off, for Docker does without it. Kubernetes needs it: remove this line.
disabled_plugins = ["cri"]
END
  sed 's#/usr/local/bin/containerd#/usr/bin/containerd#' "$module/containerd.service" |
    install -D -m 0644 /dev/stdin root/lib/systemd/system/containerd.service
  unit_script prerm containerd.service
  unit_script postrm containerd.service
  install -D -m 0755 /dev/stdin root/DEBIAN/postinst <<'END'
#!/bin/sh
set -e
deb-systemd-helper unmask containerd.service >/dev/null || true
if deb-systemd-helper --quiet was-enabled containerd.service; then
  deb-systemd-helper enable containerd.service >/dev/null || true
else
  deb-systemd-helper update-state containerd.service >/dev/null || true
fi
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload >/dev/null || true
  if [ -n "$2" ]; then action=restart; else action=start; fi
  deb-systemd-invoke $action containerd.service >/dev/null || true
fi
END
  # One package for every release of the distribution; Docker's have its name at the end.
  package "$out" containerd.io "$CONTAINERD_VERSION-1~debian" 'Depends: libc6 (>= 2.34), libseccomp2 (>= 2.5.0)' \
    'Provides: containerd, runc' 'Conflicts: containerd, runc' 'Replaces: containerd, runc' 'Section: devel' 'Priority: optional' \
    'Homepage: https://containerd.io' 'Description: An open and reliable container runtime'
}

make_packages() {
  mkdir -p "$1"/{kubernetes,tailscale,docker}
  package_kubernetes "$1/kubernetes"
  package_tailscale "$1/tailscale"
  package_containerd "$1/docker"
}
