# shellcheck shell=bash
# Waiting while other stages work on this host is the point of this one.
# lock: folder
# requires: lib/cluster/members lib/cluster/notes lib/security/approve-kubelet-csrs lib/node/node-paths
# Stage admit, on a control plane that has joined: lets the named workers in, waits until each reports that it has joined, and
# closes the door again whatever happened. Each worker has a bootstrap token of its own, whose value both sides know
# beforehand. It is valid only while this script waits for that worker, and gets a certificate for that worker alone: the
# tokens' group is not one that the controller manager approves for.
#
# A Node with a worker's membership ID is that worker's, but the machine may have been cleaned since (pulumi destroy --target, a removal that
# was killed). It then gets another token. So a Node that has the membership ID, and not the token, says nothing: the worker's own stage
# runs with its new token, and has the word. If it is a member, it notes the token on its Node. If it is none, it says so in the ConfigMap
# tailkube-member-ID, which is there for that, and only then its Node is removed.
#
# Given (beside kubeadm.sh's): TK_JOINERS ("name=ID" words), TK_JOINER_ADDRESSES ("name=ip" words), TK_TOKENS ("name=id.secret"
# words; secret), TK_JOIN_SECONDS.

# What tokens are found by that earlier runs have left.
TOKEN_LABEL=tailkube.dev/admission
CLIENT_SIGNER=kubernetes.io/kube-apiserver-client-kubelet

# Those of TK_JOINERS that have not joined; those of them that may have, for their Nodes have their membership IDs; those that have given up;
# those of which nothing is heard any more.
WAITING=()
UNSURE=()
GAVE_UP=()
SILENT=()
# A joiner that has begun says so every ten seconds; its API server may be on its way to another control plane meanwhile.
SILENT_SECONDS=120

# has_joined NAME: whether this joiner's Node carries its membership ID, and its token. Sets MARK.
has_joined() {
    local TOKEN
    node_field "$1" "which mark" '{.metadata.annotations.tailkube\.dev/joined} {.metadata.annotations.tailkube\.dev/token}' "$BOOT_SECONDS"
    MARK=${ANSWER%% *}
    token_of "$1"
    is_own_membership_id "$1" && [ "${ANSWER#* }" = "${TOKEN%%.*}" ]
}
is_own_membership_id() { [[ " $TK_JOINERS " == *" $1=$MARK "* ]]; }

# look_who_waits NAME...: which of these joiners have not joined: sets WAITING.
look_who_waits() {
    local joiner name waiting=() MARK
    for joiner in $TK_JOINERS; do
        name=${joiner%%=*}
        [[ " $* " == *" $name "* ]] || continue
        has_joined "$name" || waiting+=("$name")
    done
    WAITING=("${waiting[@]}")
}

all_joiners() {
    local joiner
    for joiner in $TK_JOINERS; do printf '%s ' "${joiner%%=*}"; done
}

# joiner_address NAME: its declared address.
joiner_address() {
    local joiner
    for joiner in $TK_JOINER_ADDRESSES; do [ "${joiner%%=*}" != "$1" ] || printf '%s' "${joiner#*=}"; done
}

# ready_of NAME: ANSWER is what its Node says of its readiness; nothing if there is no Node.
ready_of() {
    ask 60 "whether the Node $1 is Ready, to the API" kubectl_cluster get node "$1" --ignore-not-found -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
}

# A new machine under an old name is another one: what the API holds of the former one must not become this one's. And kubeadm
# refuses a name that a Ready node has, which an attempt leaves that was killed a moment too late.
forget_former_machines() {
    local name MARK
    for name in "${WAITING[@]}"; do
        # It may have joined since.
        ! has_joined "$name" || continue
        if is_own_membership_id "$name"; then
            UNSURE+=("$name")
            continue
        fi
        reject_foreign_node "$name" "$(joiner_address "$name")"
        ready_of "$name"
        if [ -n "$MARK" ] || [ "$ANSWER" = True ]; then
            forget_node "$name"
        elif ! node_exists "$name"; then
            # A run that was killed when it had removed the Node has left the former machine's pods.
            forget_pods "$name"
        fi
    done
}

# token_of NAME: sets TOKEN.
token_of() {
    local token
    TOKEN=
    for token in $TK_TOKENS; do [ "${token%%=*}" != "$1" ] || TOKEN=${token#*=}; done
    [ -n "$TOKEN" ] || fail "no token was made for $1"
}

# close_admission [NAME]: fails if the API does not answer, for then the tokens may still be there. Without NAME all of them,
# also those of a run that was killed and had others to admit. It waits for none to be gone: a joiner may give its own ConfigMap a
# finalizer.
close_admission() {
    kubectl_admin -n kube-system delete secret,configmap,role,rolebinding --selector "$TOKEN_LABEL${1:+=$1}" --ignore-not-found --wait=false >/dev/null 2>&1
}

# who_gave_up: moves the joiners whose tokens are gone from WAITING to GAVE_UP: only they and this stage remove tokens.
who_gave_up() {
    local name waiting=() TOKEN
    ask 60 "which joiners have not given up: whose Secrets are there, to the API" kubectl_admin -n kube-system get secret --selector "$TOKEN_LABEL" -o 'jsonpath={range .items[*]}{.metadata.name} {end}'
    for name in "${WAITING[@]}"; do
        token_of "$name"
        if [[ " $ANSWER " == *" bootstrap-token-${TOKEN%%.*} "* ]]; then waiting+=("$name"); else GAVE_UP+=("$name"); fi
    done
    WAITING=("${waiting[@]}")
}

# What the joiners say, a word for each. They may write anything there. Of the answer only "no" counts, and the beat is taken as hex,
# so that none can speak for another.
# shellcheck disable=SC2016  # a template's variables, not the shell's
JOINER_WORDS='{{range .items}}{{.metadata.name}}={{with .data}}{{with .member}}{{if eq . "no"}}no{{end}}{{end}},{{with .beat}}{{if lt (len .) 32}}{{printf "%x" .}}{{end}}{{end}}{{end}} {{end}}'

# hear_joiners: WORDS has "NAME=MEMBER,BEAT" of each ConfigMap in which a joiner answers.
hear_joiners() {
    ask 60 "what the joiners say in their ConfigMaps, to the API" kubectl_admin -n kube-system get configmap --selector "$TOKEN_LABEL" -o "go-template=$JOINER_WORDS"
    WORDS=" $ANSWER "
}

# serve_former_members: removes the Nodes of those of UNSURE that say that they are no members, so that they join.
serve_former_members() {
    local name unsure=() TOKEN
    for name in "${UNSURE[@]}"; do
        token_of "$name"
        if [[ $WORDS == *" tailkube-member-${TOKEN%%.*}=no,"* ]]; then
            forget_node "$name"
            # The record of it went with it.
            declare_nodes "$name=$(joiner_address "$name")"
        else
            unsure+=("$name")
        fi
    done
    UNSURE=("${unsure[@]}")
}

# who_is_silent: moves the joiners that had begun, and have not been heard for a while, from WAITING to SILENT: a stage that was killed, or
# whose host is down, cannot give up.
who_is_silent() {
    local name beat waiting=() TOKEN
    for name in "${WAITING[@]}"; do
        token_of "$name"
        beat=
        if [[ $WORDS =~ " tailkube-member-${TOKEN%%.*}="[a-z]*,([0-9a-f]+)" " ]]; then beat=${BASH_REMATCH[1]}; fi
        if [ "$beat" != "${BEATS[$name]:-}" ]; then
            BEATS[$name]=$beat
            HEARD[$name]=$SECONDS
        fi
        if [ -n "$beat" ] && [ $((SECONDS - HEARD[$name])) -ge "$SILENT_SECONDS" ]; then SILENT+=("$name"); else waiting+=("$name"); fi
    done
    WAITING=("${waiting[@]}")
}

# What a token lets a joiner do: read what kubeadm needs, see whether its name is taken, and request certificates, which are
# approved by their content alone. admission_tokens lets each joiner delete its own token, and answer whether it is a member.
admission_rights() {
    cat <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "tailkube:join"}
rules:
  - {apiGroups: [""], resources: [nodes], verbs: [get]}
  - {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create, get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "tailkube:join"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "tailkube:join"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:tailkube"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "tailkube:join", namespace: kube-system}
rules:
  - {apiGroups: [""], resources: [configmaps], resourceNames: [kubeadm-config, kubelet-config], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "tailkube:join", namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "tailkube:join"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:tailkube"}]
EOF
}

admission_tokens() {
    local name expiration TOKEN
    # A second bolt, should this script be killed before it can close the door.
    expiration=$(date -u -d "+$((TK_JOIN_SECONDS + 60)) seconds" +%Y-%m-%dT%H:%M:%SZ)
    for name in "${WAITING[@]}"; do
        token_of "$name"
        cat <<EOF
---
apiVersion: v1
kind: Secret
metadata:
  name: bootstrap-token-${TOKEN%%.*}
  namespace: kube-system
  labels: {$TOKEN_LABEL: "$name"}
type: bootstrap.kubernetes.io/token
stringData:
  description: "tailkube: admission of $name"
  token-id: "${TOKEN%%.*}"
  token-secret: "${TOKEN#*.}"
  expiration: "$expiration"
  usage-bootstrap-authentication: "true"
  auth-extra-groups: system:bootstrappers:tailkube
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "tailkube:give-up-${TOKEN%%.*}", namespace: kube-system, labels: {$TOKEN_LABEL: "$name"}}
rules:
  - {apiGroups: [""], resources: [secrets], resourceNames: ["bootstrap-token-${TOKEN%%.*}"], verbs: [delete]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: ["tailkube-member-${TOKEN%%.*}"], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "tailkube:give-up-${TOKEN%%.*}", namespace: kube-system, labels: {$TOKEN_LABEL: "$name"}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "tailkube:give-up-${TOKEN%%.*}"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:bootstrap:${TOKEN%%.*}"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "tailkube-member-${TOKEN%%.*}", namespace: kube-system, labels: {$TOKEN_LABEL: "$name"}}
data: {member: unknown}
EOF
    done
}

# By stdin: a command line is readable by everybody on the host. On the server's side: kubectl's own apply shows the whole
# Secret in some of its errors.
apply_admission() { printf '%s\n' "$ADMISSION" | kubectl_admin apply --server-side --force-conflicts --field-manager=tailkube -f - >/dev/null; }

open_admission() {
    local ADMISSION
    ADMISSION=$(admission_rights && admission_tokens)
    retry 60 "the API does not take the joiners' bootstrap tokens" apply_admission
}

# The joiners' own requests for an identity, and those alone. Others are not this stage's to report: nodes renew their
# identities by requests of the same kind, which the controller manager approves.
approve_identities() {
    local name declared='' refusal uid user why HEX TOKEN
    for name in "${WAITING[@]}"; do
        token_of "$name"
        hex_text "$name"
        declared+="d|$HEX|"
        hex_text "${TOKEN%%.*}"
        declared+=$HEX$'\n'
    done
    ask 60 "which joiners request an identity, to the API" waiting_requests "$CLIENT_SIGNER"
    [ -n "$ANSWER" ] || return 0
    serve_requests client "$declared" "$ANSWER"
    for name in "${APPROVED[@]}"; do changed "approved the identity of $name"; done
    for refusal in "${REFUSED[@]}"; do
        IFS='|' read -r uid name user why <<<"$refusal"
        if [[ -z $uid || $user != system:bootstrap:* || -n ${REPORTED[$uid]:-} ]] || [ ${#REPORTED[@]} -ge 100 ]; then continue; fi
        REPORTED[$uid]=1
        logger -p daemon.warning -t tailkube -- "certificate request $name of $user is left alone: $why" || true
    done
}

# Until all have joined or given up. A token ends with the wait for its worker.
admit_waiting() {
    local end=$((SECONDS + TK_JOIN_SECONDS)) name before
    local WORDS
    local -A REPORTED=() BEATS=() HEARD=()
    while [ ${#WAITING[@]} -gt 0 ]; do
        [ "$SECONDS" -lt "$end" ] || fail "${WAITING[*]} did not join within $TK_JOIN_SECONDS s; the error of the join says why, and so does $KUBEADM_LOG on that host"
        hear_joiners
        serve_former_members
        approve_identities
        # A joiner reports that it has joined when its kubelet has its serving certificate.
        if [ -x "$TK_LIB/approve" ]; then "$TK_LIB/approve" >/dev/null 2>&1 || true; fi
        sleep 1
        before=("${WAITING[@]}")
        look_who_waits "${before[@]}"
        for name in "${before[@]}"; do
            # What this does not reach, the end of the admission does.
            [[ " ${WAITING[*]} " == *" $name "* ]] || close_admission "$name" || true
        done
        who_gave_up
        who_is_silent
    done
    [ ${#SILENT[@]} -eq 0 ] || fail "${SILENT[*]} started to join and has not reported for $SILENT_SECONDS s: its stage was killed, or its host is down or offline. When the host is up, run again"
    [ ${#GAVE_UP[@]} -eq 0 ] || fail "${GAVE_UP[*]} did not join; the error of the join says why, and so does $KUBEADM_LOG on that host"
}

apply() {
    local admitted former
    # One that a killed run has left would close the door that this one opens.
    exec 7>>"$TK_RUN/admit.pid"
    # Where it was killed, what it had started holds the lock until it has its answer.
    if ! flock -n 7; then
        former=$(cat "$TK_RUN/admit.pid")
        # Its number may be another process's by now, which has not opened this file.
        if [ "$(readlink "/proc/$former/fd/7")" = "$TK_RUN/admit.pid" ]; then kill -TERM "$former" 2>/dev/null || true; fi
        flock -w 60 7 || fail "the admission of an earlier run does not end: process $(cat "$TK_RUN/admit.pid")"
    fi
    printf '%s\n' "$$" >"$TK_RUN/admit.pid"
    # A word for each is meant.
    # shellcheck disable=SC2046
    look_who_waits $(all_joiners)
    forget_former_machines
    # Also those that have joined, should the cluster be older than the declaration.
    # shellcheck disable=SC2086
    declare_nodes $TK_JOINER_ADDRESSES
    if [ ${#WAITING[@]} -gt 0 ]; then
        admitted="${WAITING[*]}"
        trap 'close_admission || true' EXIT
        open_admission
        admit_waiting
        changed "admitted $admitted"
    fi
    wait_for 60 "the tokens of the admission cannot be revoked, for the API does not answer; they expire by themselves" close_admission
    trap - EXIT
    result
}
