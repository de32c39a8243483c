# shellcheck shell=bash
# requires: lib/cluster/notes
# What the last run of the program declared, for the command that repeats its checks on any control plane: in the ConfigMap
# kube-system/tailkube-checks, where no node may change it. Nothing in it is secret.
# Given in a stage: TK_CHECK_VALUES (names of variables), and those variables.

note_values() {
    local name text=
    for name in $TK_CHECK_VALUES; do text+="$name=${!name}"$'\n'; done
    poll 60 patch_note tailkube-checks "{\"data\":{\"values\":$(json_string "$text")}}" || fail "cannot write the ConfigMap kube-system/tailkube-checks"
}

noted_values() { kubectl_admin -n kube-system get configmap tailkube-checks --ignore-not-found -o 'jsonpath={.data.values}'; }

# read_values: the variables, as noted. What else the script goes by cannot be set in this way.
read_values() {
    local line name
    ask 60 "what the last run has noted for the checks (ConfigMap kube-system/tailkube-checks), to the API" noted_values
    [ -n "$ANSWER" ] || fail "the ConfigMap kube-system/tailkube-checks has no values: 'pulumi up' writes them, with checks: true. Run it once"
    while IFS= read -r line; do
        name=${line%%=*}
        [[ $line =~ ^TK_[A-Z0-9_]+=[A-Za-z0-9\ ._:/@=,-]*$ && -z ${!name+set} ]] || fail "the ConfigMap kube-system/tailkube-checks has a line that is no value of the checks: ${line:0:60}. Delete it, set checks to false for one 'pulumi up', and to true for the next, which writes it again"
        printf -v "$name" '%s' "${line#*=}"
    done <<<"$ANSWER"
}
