# shellcheck shell=bash
# On the operator's machine: prints the host key of a host at the first contact, by way of its jump hosts, whose keys are pinned. It does
# not log in to the host. After ssh-config.sh; the way has no key of the host.
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
types=ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521
[ -n "${TAILKUBE_WITHOUT_RSA:-}" ] || types+=,rsa-sha2-512,rsa-sha2-256
options=(-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$directory/shown" -o HashKnownHosts=no -o HostKeyAlgorithms="$types"
    -o PubkeyAuthentication=no -o PreferredAuthentications=none
    # Without it, ssh does not say which keys the server offers.
    -o LogLevel=INFO)
# Behind jump hosts, it is one limit for all of them.
[[ $TAILKUBE_WAY == *ProxyJump* ]] || options+=(-o ConnectTimeout=5)
tries=${TAILKUBE_TRIES:-60}
for ((attempt = 1; attempt <= tries; attempt++)); do
    ssh -F "$directory/way" -l tailkube-probe "${options[@]}" tailkube-host true </dev/null >"$directory/error" 2>&1
    if [ -s "$directory/shown" ]; then
        awk 'NR == 1 {print $2, $3}' "$directory/shown"
        exit 0
    fi
    # These do not change while a machine boots; a name server may be slow once.
    if grep -qiE 'tailkube-via-|no matching host key type|Bad configuration|Permission denied|administratively prohibited' "$directory/error" ||
        { [ "$attempt" -ge 3 ] && grep -qi 'could not resolve hostname' "$directory/error"; }; then
        break
    fi
    ((attempt % 10)) || say "waits for an SSH server at $where, since $SECONDS s: $(all_said "$directory/error")"
    [ "$attempt" = "$tries" ] || sleep "${TAILKUBE_PAUSE:-3}"
done
cure="Is the host up, and are host.address, host.port and host.via correct? For a name of ssh's own configuration, set ssh.configFile."
if [ -n "${TAILKUBE_WITHOUT_RSA:-}" ] && grep -q 'no matching host key type.*rsa' "$directory/error"; then
    cure="For a host with only an RSA key, set host.hostKey to that key, or ssh.openssh: true."
fi
say "no SSH server presents a host key at $where: $(all_said "$directory/error"). $cure"
exit 1
