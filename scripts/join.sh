# shellcheck shell=bash
# Stage join: a worker joins through the endpoint. Its credentials are valid only while the admission stage on a control
# plane waits for it, so kubeadm's own discovery waits for them.
# Given (beside node.sh's): TK_KUBEADM_DOCUMENT (secret), TK_KUBEADM_SECONDS, TK_MARK, TK_ENDPOINT_ADVICE.

apply() {
    # A run that was killed in the middle of kubeadm has left it.
    rm -f "$TK_RUN/kubeadm.yaml"
    refuse_other_stack
    if [ ! -e "$SENTINEL" ]; then
        reset_failed_attempt
        own "$SENTINEL"
        wait_for 120 "no API server answers at the endpoint $TK_ENDPOINT:$TK_ENDPOINT_PORT from this host. $TK_ENDPOINT_ADVICE" endpoint_ready
        run_kubeadm join
        changed "kubeadm join"
        advertise_pod_cidr
        mark_joined "$TK_MARK"
        write_sentinel "$TK_MARK"
    fi
    result podCidr "$(pod_cidr)"
}
