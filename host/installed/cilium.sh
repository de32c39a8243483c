#!/bin/bash
# Ends Cilium's agent where it is older than tailscaled, which makes tailscale0 anew whenever it starts: Cilium puts its
# programs on the interfaces that it finds when its agent starts, and without them no pod here reaches another node.
# The kubelet starts the agent again; pods that talk within this node do not notice.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Clock ticks from the boot to the start of process $1. A name, which is in brackets, may hold blanks.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

tailscaled=$(systemctl show -p MainPID --value tailscaled.service)
since=$(started "$tailscaled") || exit 0
agents=()
for process in /proc/[0-9]*; do
    process=${process#/proc/}
    [ "$(cat "/proc/$process/comm" 2>/dev/null)" = cilium-agent ] || continue
    if start=$(started "$process") && [ "$start" -lt "$since" ]; then agents+=("$process"); fi
done
[ "${#agents[@]}" -gt 0 ] || exit 0
# An agent that starts before the address is there passes over the interface.
/usr/local/lib/tailkube/wait-address
for agent in "${agents[@]}"; do
    if kill "$agent" 2>/dev/null; then echo "ended Cilium's agent (process $agent): it is older than tailscaled, and so than tailscale0"; fi
done
