# shellcheck shell=bash
# requires: lib/node/ssh-host-keys lib/waiting
# Stage host-key, on a new machine in a cloud: leaves only the host key that the machine has made for itself. The one that it
# was made with is known to whoever can read its user data.

shows_no_other() { [ -z "$(served_key ecdsa,rsa)" ]; }

apply() {
    local key
    [ -s "$OWN_HOST_KEY" ] || fail "the machine has lost $OWN_HOST_KEY: change host.identity to have it made anew"
    for key in "$SSH_DIRECTORY"/ssh_host_*_key "$SSH_DIRECTORY"/ssh_host_*_key.pub; do
        [ -e "$key" ] || continue
        case $key in "$OWN_HOST_KEY" | "$OWN_HOST_KEY.pub") continue ;; esac
        rm -f -- "$key"
        changed "removed $key"
    done
    if ! shows_no_other; then
        reload_sshd
        wait_for 30 "the SSH server still shows another host key: is there a HostKey line in sshd's configuration?" shows_no_other
    fi
    result
}
