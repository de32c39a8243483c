# shellcheck shell=bash
# The host keys of a machine's SSH server, for the stages of a new machine in a cloud.

SSH_DIRECTORY=/etc/ssh
# shellcheck disable=SC2034  # for the files after this one
OWN_HOST_KEY=$SSH_DIRECTORY/ssh_host_ed25519_key

reload_sshd() { systemctl reload-or-restart ssh.service || fail "sshd does not read its host keys anew: systemctl status ssh"; }

# served_key TYPE: the key of that type that the SSH server of this machine shows.
served_key() { ssh-keyscan -T 5 -t "$1" 127.0.0.1 2>/dev/null | awk 'NR == 1 {print $2, $3}'; }
