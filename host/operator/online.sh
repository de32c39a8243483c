# shellcheck shell=bash
# On the operator's machine, first of all when a stack is destroyed: fails where no host of the cluster presents its pinned host key. Then
# this machine is offline, resolves no names or is in a network where other machines have the hosts' addresses, and a destroy
# would forget the cluster's authorities and clean nothing. After answers.sh.
# Given as environment: TAILKUBE_HOSTS ("NAME=ADDRESS:PORT,TYPE,KEY" of the hosts and their host keys, separated by blanks). With
# ssh-config.sh they come by stdin after what that reads, each with ",WAY" in base64: a variable of a hundred ways would be too long. The
# operator may set TAILKUBE_FORGET to the names of nodes whose machines no longer exist.
# shellcheck disable=SC2154  # SAID is answers.sh's
say() { printf 'tailkube: %s\n' "$*" >&2; }
if [ -z "${TAILKUBE_HOSTS:-}" ]; then
    directory=$(mktemp -d) || {
        say "this machine cannot write temporary files below ${TMPDIR:-/tmp}, so nothing was removed: is its disk full?"
        exit 1
    }
    trap 'rm -rf "$directory"' EXIT
    read_secrets
    TAILKUBE_HOSTS=$(cat)
fi
why="" names=""
for host in $TAILKUBE_HOSTS; do
    name=${host%%=*}
    [[ " ${TAILKUBE_FORGET:-} " != *" $name "* ]] || continue
    IFS=, read -r where type key way <<<"${host#*=}"
    if shows_key "$where" "$type" "$key" "$way"; then exit 0; fi
    names+="${names:+ }$name"
    why+="${why:+; }$name: ${SAID##*$'\n'}"
done
[ -n "$names" ] || exit 0
printf 'tailkube: none of the hosts can be reached, so nothing was removed and the stack keeps the cluster (%s). Check the network and the name servers of this machine, and that the cluster is in that network, then run again. If the machines do not exist any more, run again with TAILKUBE_FORGET="%s" in the environment.\n' "$why" "$names" >&2
exit 1
