#!/bin/bash
# Installed as /usr/local/lib/tailkube/approve.
# Approves the kubelets' requests for serving certificates, now and when they renew theirs, which nothing else would do.
# A node may ask for its own name and its declared address (ConfigMap kube-system/tailkube-nodes, which only administrators
# may write) and for nothing else. tailkube-approve.timer runs it. On the host approve-kubelet-csrs.sh stands before it, as one file.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin KUBECACHEDIR=/run/tailkube/kube-cache
RUN=/run/tailkube

kubectl_admin() { kubectl --request-timeout=20s --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# The unit fails, for all to see: that the API does not answer does not mean that nothing waits.
no_answer() {
    echo "no answer from the API to the question $1: $(tail -c 300 "$RUN/approve.errors" 2>/dev/null | tr -c '[:print:]' ' ')" >&2
    exit 1
}

# shellcheck disable=SC2016
declared_addresses() {
    kubectl_admin -n kube-system get configmap tailkube-nodes --ignore-not-found \
        -o 'go-template={{range $name, $address := .data}}d|{{printf "%x" $name}}|{{printf "%x" $address}}{{"\n"}}{{end}}'
}

# Each refusal once, not each minute for as long as the request waits, and no more at a time than the journal can bear: the
# others have their turn in the next minutes. What is remembered is no more than what waits.
report_refusals() {
    local refusal uid name user why messages=() kept=() later=0
    local -A known=()
    if [ -e "$RUN/left-alone" ]; then
        while read -r uid; do [ -z "$uid" ] || known[$uid]=1; done <"$RUN/left-alone"
    fi
    for refusal in "${REFUSED[@]}"; do
        IFS='|' read -r uid name user why <<<"$refusal"
        if [ -z "${known[${uid:-none}]:-}" ]; then
            if [ ${#messages[@]} -ge 200 ]; then
                later=$((later + 1))
                continue
            fi
            messages+=("certificate request $name of $user is left alone: $why")
        fi
        kept+=("$uid")
    done
    [ "$later" = 0 ] || messages+=("$later more certificate requests are left alone; the next runs name them")
    [ ${#messages[@]} = 0 ] || printf '%s\n' "${messages[@]}" | logger -p daemon.warning -t tailkube
    if [ ${#kept[@]} -gt 0 ]; then
        printf '%s\n' "${kept[@]:0:10000}" >"$RUN/left-alone.new"
        mv -f "$RUN/left-alone.new" "$RUN/left-alone"
    else
        rm -f "$RUN/left-alone"
    fi
}

mkdir -p "$RUN"
# A stage that waits for a certificate runs it, too.
exec 8>"$RUN/approve.lock"
flock -w 40 8 || {
    echo "another approval has been running for 40 s" >&2
    exit 1
}

requests=$(waiting_requests kubernetes.io/kubelet-serving 2>"$RUN/approve.errors") || no_answer "which certificate requests wait"
declared=
[ -z "$requests" ] || declared=$(declared_addresses 2>"$RUN/approve.errors") || no_answer "which nodes are declared"
rm -f "$RUN/approve.errors"
serve_requests serving "$declared" "$requests"
for node in "${APPROVED[@]}"; do logger -p daemon.notice -t tailkube -- "approved the serving certificate of $node"; done
report_refusals
[ ${#UNANSWERED[@]} = 0 ] || no_answer "to approve ${UNANSWERED[*]}"
