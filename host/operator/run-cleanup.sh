# shellcheck shell=bash
# On the operator's machine: takes what is ours off a host, or reports that the host does not exist any more. Ends with 0 in
# both cases: a dead machine must not block a run. Ends with an error where a host that is there was not cleaned, and where this
# machine cannot tell. After answers.sh and ssh.sh.
# Given as environment, too: TAILKUBE_OTHER_HOSTS ("ADDRESS:PORT,TYPE,KEY" of other hosts of the cluster and their host keys, separated
# by blanks; with TAILKUBE_WAY, each with ",WAY" in base64). The operator may set TAILKUBE_FORGET to the names of nodes whose machines no longer exist.
# shellcheck disable=SC2154  # where and directory are ssh.sh's, SAID is answers.sh's

# At a terminal the CLI shows what a deletion prints only while it runs, and the state forgets a host that is skipped: so it is
# kept in a file of the project, too.
pass_over() {
    say "$*"
    printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$TAILKUBE_NODE" "$*" >>tailkube-not-cleaned.log || say "this could not be written to $PWD/tailkube-not-cleaned.log"
    exit 0
}
left="If the machine comes back it still has tailscaled, containerd, the kubelet and /etc/kubernetes: reinstall it (docs/operate/nodes.md, Unreachable machines)."
forget="If the machine does not exist any more, run again with TAILKUBE_FORGET=$TAILKUBE_NODE in the environment."

# another_answers: whether another host of the cluster presents its pinned host key: only then is this machine in the cluster's network. In
# another one, a router or any other machine may have the hosts' addresses. If none does, WHY says what each has said.
another_answers() {
    local host where type key way
    WHY=
    for host in ${TAILKUBE_OTHER_HOSTS:-}; do
        IFS=, read -r where type key way <<<"$host"
        if shows_key "$where" "$type" "$key" "$way"; then return; fi
        WHY+="${WHY:+; }$where: ${SAID##*$'\n'}"
    done
    return 1
}

# What only a dead machine's silence shows: no TCP connection in time, and the neighbours' or a router's "no route to host". All else
# says something about this machine, or that the host is up: also a host that is too busy to say who it is. Behind jump hosts the last
# of them says it, after as long as its kernel waits for the host.
silent() {
    local of='connect to host'
    [ -z "${TAILKUBE_WAY:-}" ] || ! grep -q '^ *ProxyJump' <<<"$TAILKUBE_WAY" || of='open failed: connect failed:'
    grep -qiE "$of .*(timed out|no route to host|host is down)" "$directory/error"
}

# Three connections of 10 s: a host that reboots at the moment is not tried again by a later run.
for attempt in 1 2 3; do
    # shellcheck disable=SC2034  # guard's
    if [ "$attempt" = 3 ] && [ -n "${TAILKUBE_WAY:-}" ]; then patience=(-o ConnectTimeout=180); fi
    if guard begin >/dev/null; then break; fi
    error=$(dial_error)
    # The operator has said so: whatever is at that address now is another machine's.
    if [[ " ${TAILKUBE_FORGET:-} " == *" $TAILKUBE_NODE "* ]]; then
        pass_over "not cleaned, because TAILKUBE_FORGET names it: ${error:-no answer at $where}. $left"
    fi
    if another_jump; then
        say "a jump host on the way to $where does not have the host key that is in the config, so nothing was cleaned: $error"
        exit 1
    fi
    if another_machine; then
        # Where the cluster has no other host, nothing tells a new machine from a wrong network.
        if [ -n "${TAILKUBE_OTHER_HOSTS:-}" ] && ! another_answers; then
            say "a different machine answers at $where than the one that tailkube set up, and no other host of the cluster presents its pinned host key ($WHY), so this machine may be in another network; nothing was cleaned and the stack keeps the host. Connect this machine to the cluster's network, then run again. $forget"
            exit 1
        fi
        pass_over "a different machine answers at $where than the one that tailkube set up; it was not changed. If the old one still exists, reinstall it."
    fi
    if grep -q 'Permission denied' "$directory/error"; then
        say "$TAILKUBE_USER cannot log in at $where, so nothing was cleaned: $error"
        exit 1
    fi
    if [ "$attempt" = 3 ]; then
        if ! silent; then
            say "$where cannot be reached, so nothing was cleaned and the stack keeps the host: ${error:-ssh said nothing}. A silent machine would be skipped, but this says nothing about the machine: make the name resolve, this machine's network work or the host's SSH server run, then run again. $forget"
            exit 1
        fi
        if ! another_answers; then
            say "no answer at $where, and no other host of the cluster presents its pinned host key (${WHY:-there is no other}), so this machine may be offline or in another network; nothing was cleaned and the stack keeps the host: $error. Check this machine's network, then run again. $forget"
            exit 1
        fi
        pass_over "no answer at $where, so nothing was cleaned there: $error. Other hosts of the cluster do answer. $left"
    fi
    sleep 2
done

if ! run_guarded; then
    cat "$directory/script-error" >&2
    say "it could not be cleaned whole; run again"
    exit 1
fi
