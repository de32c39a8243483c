#!/usr/bin/env bash
# Recipes of Hubble, from Cilium's module: the command, which Cilium's own image of the agent has as well, and the relay. They are
# items of their own, so that Cilium is not built again for them. Sourced by ../build.
set -euo pipefail
# From cilium.sh.
: "${cilium_image_config:?}"

make_hubble() {
  local out=$1 module=github.com/cilium/cilium
  cp -r --no-preserve=mode "$(module_info Dir "$module@v$CILIUM_VERSION")" cilium
  rm -rf cilium/vendor
  cd cilium
  replace_missing_modules
  go build -trimpath -tags osusergo -ldflags "$(strip_and_set "$module/hubble/pkg.Version=$CILIUM_VERSION")" -o "$out/" ./hubble ./hubble-relay
}

# By images/hubble-relay/Dockerfile. The chart calls the command by its name.
readonly hubble_relay_config='{
  "Env": ["PATH=/usr/bin:/bin", "GOPS_CONFIG_DIR=/tmp"],
  "WorkingDir": "/tmp",
  "User": "65532:65532",
  "Entrypoint": ["/usr/bin/hubble-relay"],
  "Cmd": ["serve"]
}'

# The agent's image with the command in it, and the relay's.
make_hubble_images() {
  local out=$1 agent=quay.io/cilium/cilium:v$CILIUM_VERSION relay=quay.io/cilium/hubble-relay:v$CILIUM_VERSION layer
  mkdir archive agent
  tar -xf "$(item_path cilium_image)/cilium.tar" -C archive
  layer=$(jq -er '.[0].Layers | if length == 1 then .[0] else error("more than one layer") end' archive/manifest.json)
  tar -xpf "archive/$layer" -C agent --numeric-owner
  rm -r archive
  install "$(item_path hubble)/hubble" agent/usr/bin/
  # As in images/cilium/Dockerfile.
  write_image "$out/cilium.tar" "$agent" agent "$(jq -c '.Env += ["HUBBLE_SERVER=unix:///var/run/cilium/hubble.sock"]' <<<"$cilium_image_config")"
  record_image "$out" cilium.tar "$agent" control-plane,worker
  rm -r agent
  image_of_binaries "$out/hubble-relay.tar" "$relay" "$(jq -c . <<<"$hubble_relay_config")" /usr/bin "$(item_path hubble)/hubble-relay"
  record_image "$out" hubble-relay.tar "$relay" control-plane,worker
}
