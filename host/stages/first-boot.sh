# shellcheck shell=bash
# requires: lib/node/ssh-host-keys lib/waiting
# Stage first-boot, on a new machine in a cloud: waits until it has been set up, gives it a host key of its own, and tells it.
# Every later connection is pinned to that one; the key that this connection is pinned to goes in the stage host-key.

# cloud-init ends with 2 where it only has warnings.
set_up() {
    command -v cloud-init >/dev/null || return 0
    timeout 300 cloud-init status --wait >/dev/null 2>&1 || [ $? = 2 ]
}

clock_is_right() { [ "$(timedatectl show -p NTPSynchronized --value)" = yes ]; }

serves_own_key() { [ "$(served_key ed25519)" = "$own_key" ]; }

apply() {
    local key=$OWN_HOST_KEY own_key
    set_up || fail "cloud-init has failed: see /var/log/cloud-init.log on the machine"
    # Only waited for: the requirements are looked at in the next stage.
    poll 60 clock_is_right || true
    if [ ! -s "$key" ]; then
        rm -f -- "$key.tailkube" "$key.tailkube.pub"
        ssh-keygen -q -t ed25519 -N '' -C '' -f "$key.tailkube" || fail "cannot make a host key below $SSH_DIRECTORY"
        # The private key last: with it the pair is whole.
        mv -f -- "$key.tailkube.pub" "$key.pub"
        mv -f -- "$key.tailkube" "$key"
        changed "made $key"
    fi
    own_key=$(ssh-keygen -y -f "$key" | awk '{print $1, $2}') || fail "$key is no private key"
    if ! serves_own_key; then
        reload_sshd
        wait_for 30 "the SSH server does not show the host key $key: is there a HostKey line in sshd's configuration?" serves_own_key
    fi
    result hostKey "$own_key"
}
