#!/bin/bash
# tailscaled says that it is ready before its address can be bound. What binds it (kubelet, and through it etcd and the
# API server) starts after this has returned. It waits without end: a node without its declared address must not start
# with another one.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/tailkube/node.env
until ip -o -4 address show to "$TAILKUBE_ADDRESS/32" | grep -q .; do sleep 0.5; done
