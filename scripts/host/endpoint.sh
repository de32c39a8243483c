#!/bin/bash
# Puts the API endpoint on this control plane's loopback and advertises it (`endpoint up`), or takes both back
# (`endpoint down`). tailkube-endpoint.service runs it, so the address does not depend on the network manager.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=/dev/null
. /etc/tailkube/endpoint.env
case ${1:-} in
up)
    # The address first: a route whose host does not know the address would swallow requests.
    ip address replace "$TAILKUBE_ENDPOINT/32" dev lo
    /usr/local/lib/tailkube/routes set endpoint "$TAILKUBE_ENDPOINT/32"
    ;;
down)
    status=0
    /usr/local/lib/tailkube/routes unset endpoint || status=$?
    # Also where tailscaled does not answer: a host with the address on its own loopback reaches no other's API server.
    ip address del "$TAILKUBE_ENDPOINT/32" dev lo 2>/dev/null || true
    exit "$status"
    ;;
*) echo "usage: endpoint up|down" >&2; exit 2 ;;
esac
