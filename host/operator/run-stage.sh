# shellcheck shell=bash
# On the operator's machine: runs a stage that cannot cut the host off by OpenSSH, where components/hosts/remote-script.ts cannot use the
# provider's own connection. Prints the stage's result. After ssh.sh.
# shellcheck disable=SC2154  # where and directory are ssh.sh's

reach dial
status=0
(on_host "$TAILKUBE_COMMAND") <&3 >"$directory/result" 2>"$directory/script-error" || status=$?
[ "$status" = 0 ] || refuse_sudo "$directory/script-error"
finish "$status"
