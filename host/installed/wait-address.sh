#!/bin/bash
# tailscaled says that it is ready before its address can be bound. What binds it (kubelet, and through it etcd and the
# API server) starts after this has returned: a node without its declared address must not start with another one.
# tailkube-address.service runs it, ends it after a minute so that a boot comes to its end, and runs it again.
set -euo pipefail
# shellcheck source=/dev/null
. /etc/tailkube/node.env
until ip -o -4 address show to "$TAILKUBE_ADDRESS/32" | grep -q .; do sleep 0.5; done
# Its start failed with that of this unit if the address came later than that.
if systemctl is-enabled --quiet kubelet.service 2>/dev/null; then systemctl start --no-block kubelet.service; fi
