# shellcheck shell=bash
# On the operator's machine: whether hosts answer, and are those that are meant. Needs no private key, but for jump hosts.

# shows_key ADDRESS:PORT TYPE KEY [WAY]: whether the SSH server there has that host key: in another network another machine may have the
# address. It does not log in. WAY: ssh's configuration in base64, for ssh-config.sh. If it fails, SAID says why.
SAID=
shows_key() {
    [ -z "${4:-}" ] || {
        shows_key_by_way "$4"
        return
    }
    local name=${1%:*} port=${1##*:} known status=0
    [ "$port" = 22 ] || name="[$name]:$port"
    known=$(mktemp) || {
        SAID="no temporary file can be made on this machine"
        return 1
    }
    printf '%s %s %s\n' "$name" "$2" "$3" >"$known"
    SAID=$(ssh -F /dev/null -p "$port" -l tailkube -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$known" \
        -o GlobalKnownHostsFile=/dev/null -o HostKeyAlgorithms="$2" -o PubkeyAuthentication=no -o PreferredAuthentications=none \
        -o LogLevel=ERROR -o ControlPath=none "${1%:*}" true </dev/null 2>&1) || status=$?
    rm -f -- "$known"
    # It comes to that only behind the right key.
    [ "$status" = 0 ] || [[ $SAID =~ Permission\ denied ]]
}
