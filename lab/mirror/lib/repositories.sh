#!/usr/bin/env bash
# The package repositories and the chart repository, in STATE/root. Sourced by ../mirror.
set -euo pipefail
: "${state:?}" "${here:?}" "${lab:?}" "${plain:?}" "${bundles[0]:?}" "${suites[0]:?}"

# What the folders that are served are made of: they are made again when it changes.
sources_key() {
  local name
  {
    cat "$here/lib/repositories.sh" "$state/signing.asc"
    for name in "${bundles[@]}"; do readlink -f "$lab/.state/packages/$name"; done
    printf '%s\n' "$plain" "${suites[@]}"
  } | sha256sum | cut -c1-12
}

bundle_path() {
  if [[ $1 == default ]]; then readlink -f "$lab/.state/bundle"; else readlink -f "$lab/.state/bundles/$1"; fi
}

# The architectures of the packages: the machine's, and those of bundles whose names end in another.
architectures() { { dpkg --print-architecture && printf '%s\n' "${bundles[@]}" | sed -n 's/.*-\(arm64\)$/\1/p'; } | sort -u | xargs; }

# sign_release FOLDER ORIGIN SUITE COMPONENT — Release, InRelease and Release.gpg of the indexes in a folder.
sign_release() {
  (
    cd "$1"
    rm -f Release InRelease Release.gpg
    apt-ftparchive -o "APT::FTPArchive::Release::Origin=$2" -o "APT::FTPArchive::Release::Label=$2" -o "APT::FTPArchive::Release::Suite=$3" \
      -o "APT::FTPArchive::Release::Codename=$3" -o "APT::FTPArchive::Release::Components=$4" \
      -o "APT::FTPArchive::Release::Architectures=$(architectures)" release . >../Release.new
    mv ../Release.new Release
    gpg_lab --clearsign --output InRelease Release
    gpg_lab --armor --detach-sign --output Release.gpg Release
  )
}

# flat_repository FOLDER DEB… — as pkgs.k8s.io has one for each minor: packages and indexes in one folder, the key beside them.
flat_repository() {
  local folder=$1 deb arch
  shift
  for deb in "$@"; do
    arch=${deb##*_}
    mkdir -p "$folder/${arch%.deb}"
    cp -l "$deb" "$folder/${arch%.deb}/"
  done
  (
    cd "$folder"
    apt-ftparchive packages . | sed 's#^Filename: \./#Filename: #' >Packages
    gzip -9kn Packages
  )
  sign_release "$folder" 'obs://build.opensuse.org/isv:kubernetes:core:stable' deb ''
  cp "$state/signing.asc" "$folder/Release.key"
}

# pool_repository FOLDER ORIGIN COMPONENT DEB… — with dists/ and pool/, the same for each release of Debian.
pool_repository() {
  local folder=$1 origin=$2 component=$3 suite arch
  shift 3
  mkdir -p "$folder/pool"
  cp -l "$@" "$folder/pool/"
  for suite in "${suites[@]}"; do
    for arch in $(architectures); do
      mkdir -p "$folder/dists/$suite/$component/binary-$arch"
      (
        cd "$folder"
        apt-ftparchive --arch "$arch" packages pool >"dists/$suite/$component/binary-$arch/Packages"
        gzip -9kn "dists/$suite/$component/binary-$arch/Packages"
      )
    done
    sign_release "$folder/dists/$suite" "$origin" "$suite" "$component"
  done
}

# packages_of KIND — the packages of all bundles, each once.
packages_of() {
  local name
  for name in "${bundles[@]}"; do find "$lab/.state/packages/$name/" -path "*/$1/*.deb"; done | awk -F/ '!seen[$NF]++'
}

make_repositories() {
  local key root=$state/root.new minor suite folder debs
  key=$(sources_key)
  if [[ $(cat "$state/root.key" 2>/dev/null) == "$key" ]]; then return; fi
  say "making the package repositories"
  rm -rf "$root"
  # On the cache's file system, for hard links.
  mkdir -p "$root"

  mapfile -t debs < <(packages_of kubernetes)
  for minor in $(printf '%s\n' "${debs[@]}" | sed -nE 's#.*/kubelet_([0-9]+\.[0-9]+)\..*#\1#p' | sort -uV); do
    mapfile -t of_minor < <(printf '%s\n' "${debs[@]}" | grep -E "/(kubelet|kubeadm|kubectl)_${minor/./\\.}\.|/(kubernetes-cni|cri-tools)_")
    flat_repository "$root/kubernetes/core:/stable:/v$minor/deb" "${of_minor[@]}"
  done

  folder=$root/tailscale/stable/debian
  mapfile -t debs < <(packages_of tailscale)
  pool_repository "$folder" Tailscale main "${debs[@]}"
  for suite in "${suites[@]}"; do
    gpg_lab --export >"$folder/$suite.noarmor.gpg"
    printf '# Tailscale packages for debian %s\ndeb [signed-by=/usr/share/keyrings/tailscale-archive-keyring.gpg] %s/tailscale/stable/debian %s main\n' \
      "$suite" "http://$plain" "$suite" >"$folder/$suite.tailscale-keyring.list"
  done

  folder=$root/docker/linux/debian
  mapfile -t debs < <(packages_of docker)
  pool_repository "$folder" Docker stable "${debs[@]}"
  cp "$state/signing.asc" "$folder/gpg"

  gpgconf --homedir "$state/gnupg" --kill gpg-agent
  rm -rf --one-file-system "$state/root"
  mv "$root" "$state/root"
  echo "$key" >"$state/root.key"
}

# Cilium's charts, of all bundles.
make_charts() {
  local name bundle version charts=$state/root/charts
  if [[ -s $charts/index.yaml ]]; then return; fi
  rm -rf "$charts.new"
  mkdir -p "$charts.new"
  for name in "${bundles[@]}"; do
    bundle=$(bundle_path "$name")
    version=$(sed -n 's/^version: *//p' "$bundle/charts/cilium/Chart.yaml")
    [[ -e $charts.new/cilium-$version.tgz ]] || "$bundle/operator/helm" package --destination "$charts.new" "$bundle/charts/cilium" >/dev/null
  done
  "$(bundle_path default)/operator/helm" repo index "$charts.new"
  rm -rf "$charts"
  mv "$charts.new" "$charts"
}
