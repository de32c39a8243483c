# shellcheck shell=bash
# On the operator's machine: whether hosts answer at all. Needs no key.

# answers ADDRESS:PORT: whether any SSH server answers there, or a host refuses the connection. If not, SAID is why.
SAID=
answers() {
    SAID=$(ssh -F /dev/null -p "${1##*:}" -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null \
        -o GlobalKnownHostsFile=/dev/null -o ControlPath=none "${1%:*}" true </dev/null 2>&1) && return
    [[ $SAID =~ Host\ key\ verification\ failed|No\ .*\ host\ key\ is\ known|Connection\ refused|Permission\ denied ]]
}
