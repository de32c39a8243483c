# shellcheck shell=bash
# On the operator's machine: prints the host key of a host at the first contact, by way of its jump hosts, whose keys are pinned. It does
# not log in to the host. After way.sh; the way has no key of the host.
# Given as environment: TAILKUBE_NODE, TAILKUBE_HOST, TAILKUBE_PORT.
set -uo pipefail

say() { printf 'tailkube: %s: %s\n' "$TAILKUBE_NODE" "$*" >&2; }
where="$TAILKUBE_HOST port $TAILKUBE_PORT"
directory=$(mktemp -d) || {
    say "this machine cannot write temporary files below ${TMPDIR:-/tmp}: is its disk full?"
    exit 1
}
trap 'rm -rf "$directory"' EXIT
read_secrets
write_way "$TAILKUBE_WAY" way

# In the order of what is preferred. ssh verifies that the server has the private half.
types=ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256
tries=${TAILKUBE_TRIES:-60}
for ((attempt = 1; attempt <= tries; attempt++)); do
    ssh -F "$directory/way" -l tailkube-probe -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$directory/shown" -o HashKnownHosts=no \
        -o HostKeyAlgorithms="$types" -o PubkeyAuthentication=no -o PreferredAuthentications=none tailkube-host true </dev/null >"$directory/error" 2>&1
    if [ -s "$directory/shown" ]; then
        awk 'NR == 1 {print $2, $3}' "$directory/shown"
        exit 0
    fi
    # These do not change while a machine boots; a name server may be slow once.
    if grep -qiE 'tailkube-via-|no matching host key type|Bad configuration|Permission denied|administratively prohibited' "$directory/error" ||
        { [ "$attempt" -ge 3 ] && grep -qi 'could not resolve hostname' "$directory/error"; }; then
        break
    fi
    [ "$attempt" = "$tries" ] || sleep 3
done
say "no SSH server presents a host key at $where: $(all_said "$directory/error"). Is the host up, and are host.address, host.port and host.via correct? For a name of ssh's own configuration, set ssh.configFile."
exit 1
