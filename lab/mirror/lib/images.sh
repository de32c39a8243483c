#!/usr/bin/env bash
# Images of docker-archive files into the registry. Sourced by ../mirror.
set -euo pipefail
: "${state:?}" "${registry:?}" "${bundles[0]:?}"

digest() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d' ' -f1)"; }

# push_blob NAME FILE — unless the registry has it.
push_blob() {
  local name=$1 file=$2 sum location url=http://$registry/v2/$1/blobs
  sum=$(digest "$file")
  if curl -fsS --head -o /dev/null "$url/$sum" 2>/dev/null; then return; fi
  location=$(curl -fsS -X POST -o /dev/null -D - "$url/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  [[ $location == http* ]] || location=http://$registry$location
  if [[ $location == *\?* ]]; then location+='&'; else location+='?'; fi
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary @- "${location}digest=$sum" <"$file"
}

# push_image REF FILE — as a manifest of one compressed layer, below the name of its own registry. Where there is more than one
# architecture it goes into the tag's index, beside what that has for others.
push_image() {
  local ref=$1 name tag work=$state/image.new layer config url index=application/vnd.oci.image.index.v1+json
  name=${ref%:*}
  tag=${ref##*:}
  url=http://$registry/v2/$name/manifests
  rm -rf "$work"
  mkdir -p "$work"
  tar -xf "$2" -C "$work"
  config=$work/$(jq -r '.[0].Config' "$work/manifest.json")
  layer=$work/$(jq -r '.[0].Layers[0]' "$work/manifest.json")
  gzip -1n "$layer"
  push_blob "$name" "$layer.gz"
  push_blob "$name" "$config"
  jq -n --arg config "$(digest "$config")" --argjson config_size "$(stat -c %s "$config")" --arg layer "$(digest "$layer.gz")" \
    --argjson layer_size "$(stat -c %s "$layer.gz")" '{
      schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $config_size},
      layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $layer, size: $layer_size}]}' >"$work/oci.json"
  if [[ $(architectures) != *' '* ]]; then
    push_manifest "$url/$tag" "$work/oci.json"
    rm -rf "$work"
    return
  fi
  push_manifest "$url/$(digest "$work/oci.json")" "$work/oci.json"
  curl -fsS -H "Accept: $index" -o "$work/former.json" "$url/$tag" 2>/dev/null || echo '{}' >"$work/former.json"
  jq --arg type "$index" --arg digest "$(digest "$work/oci.json")" --argjson size "$(stat -c %s "$work/oci.json")" \
    --arg architecture "$(jq -r .architecture "$config")" --slurpfile manifest "$work/oci.json" '{
      schemaVersion: 2, mediaType: $type,
      manifests: ([.manifests[]? | select(.platform.architecture != $architecture)] + [{
        mediaType: $manifest[0].mediaType, digest: $digest, size: $size, platform: {os: "linux", architecture: $architecture}}])
    }' "$work/former.json" >"$work/index.json"
  push_manifest "$url/$tag" "$work/index.json"
  rm -rf "$work"
}
push_manifest() { curl -fsS -o /dev/null -X PUT -H "Content-Type: $(jq -r .mediaType "$2")" --data-binary "@$2" "$1"; }

# push_listed LIST — the images of a bundle.json, or of another list of that form, whose paths are relative to it. What was pushed is
# in STATE/pushed, by the checksum of its file. Another set of architectures has other manifests.
push_listed() {
  local ref path sum arch entry
  touch "$state/pushed"
  while read -r ref path sum arch; do
    entry="$ref $arch of $(architectures)"
    if grep -qxF "$sum $entry" "$state/pushed"; then continue; fi
    say "pushing $ref"
    push_image "$ref" "$(dirname "$1")/$path"
    sed -i "\\# $ref $arch of #d" "$state/pushed"
    echo "$sum $entry" >>"$state/pushed"
  done < <(jq -r '.arch as $arch | .images[] | [.ref, .path, .sha256, $arch] | @tsv' "$1")
}

push_images() {
  local name
  for name in "${bundles[@]}"; do push_listed "$(bundle_path "$name")/bundle.json"; done
}
