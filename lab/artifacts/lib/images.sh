#!/usr/bin/env bash
# Recipes of the container images: docker-archive files of one layer, for `ctr -n k8s.io images import`. Sourced by ../build.
set -euo pipefail

# pack OUT DIRECTORY [TAR OPTION…] — a tar file of the directory's content that is the same, byte for byte, whenever and by whomever
# it is made from the same files.
pack() {
  local out=$1 directory=$2
  shift 2
  tar --create --file="$out" --directory="$directory" --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@" .
}

# write_image OUT REF ROOT CONFIG — CONFIG is the JSON object of the image's defaults (Env, Entrypoint, …). Uses ./image for scratch.
write_image() {
  local out=$1 ref=$2 root=$3 config=$4 layer id
  rm -rf image
  mkdir -p image "$(dirname "$out")"
  # A container gets its own /dev, /proc and /sys.
  pack image/layer.tar "$root" --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*'
  layer=$(sha256sum image/layer.tar | cut -d' ' -f1)
  {
    printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":%s,' "$(go env GOARCH)" "$config"
    printf '"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$layer"
  } >image/config
  id=$(sha256sum image/config | cut -d' ' -f1)
  mv image/config "image/$id.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$id" "$ref" >image/manifest.json
  pack "$out" image
  rm -rf image
}

readonly plain_config='{"Env":["PATH=/usr/local/bin:/usr/bin:/bin"],"WorkingDir":"/"}'

# image_of_binaries OUT REF CONFIG DIRECTORY FILE… — an image that holds nothing but these static binaries (in DIRECTORY, absolute),
# the machine's certificate authorities and a /tmp.
image_of_binaries() {
  local out=$1 ref=$2 config=$3 directory=$4
  shift 4
  rm -rf root
  mkdir -p "root$directory" root/etc/ssl/certs root/tmp
  chmod 1777 root/tmp
  cp /etc/ssl/certs/ca-certificates.crt root/etc/ssl/certs/
  cp -l "$@" "root$directory/"
  write_image "$out" "$ref" root "$config"
  rm -rf root
}

# kubeadm_image NAME — the reference, with tag, under which this version's kubeadm looks for an image.
kubeadm_image() {
  "$(item_path kubernetes)/kubeadm" config images list --kubernetes-version "v$KUBERNETES_VERSION" | grep "/$1:"
}

# record_image OUT FILE REF ROLES — a line of the list that goes into the bundle.
record_image() {
  printf '%s images/%s %s\n' "$3" "$2" "$4" >>"$1/images.list"
}

make_images() {
  local out=$1 name ref kubernetes
  kubernetes=$(item_path kubernetes)
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    ref=$(kubeadm_image $name)
    image_of_binaries "$out/$name.tar" "$ref" "$plain_config" /usr/local/bin "$kubernetes/$name"
    record_image "$out" $name.tar "$ref" control-plane
  done

  ref=$(kubeadm_image etcd)
  image_of_binaries "$out/etcd.tar" "$ref" "$plain_config" /usr/local/bin "$(item_path etcd)"/{etcd,etcdctl} \
    "$(item_path etcdutl)/etcdutl"
  record_image "$out" etcd.tar "$ref" control-plane

  ref=$(kubeadm_image coredns)
  image_of_binaries "$out/coredns.tar" "$ref" '{"Entrypoint":["/coredns"],"WorkingDir":"/"}' / "$(item_path coredns)/coredns"
  record_image "$out" coredns.tar "$ref" control-plane,worker

  ref=$(kubeadm_image pause)
  image_of_binaries "$out/pause.tar" "$ref" '{"Entrypoint":["/pause"],"User":"65535:65535","WorkingDir":"/"}' / "$(item_path pause)/pause"
  record_image "$out" pause.tar "$ref" control-plane,worker

  ref=quay.io/cilium/operator-generic:v$CILIUM_VERSION
  image_of_binaries "$out/cilium-operator.tar" "$ref" '{"Env":["PATH=/usr/bin","GOPS_CONFIG_DIR=/"],"WorkingDir":"/"}' /usr/bin \
    "$(item_path cilium)/operator/cilium-operator-generic"
  record_image "$out" cilium-operator.tar "$ref" control-plane,worker
}
