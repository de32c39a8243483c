# shellcheck shell=bash
# requires: lib/records/files lib/units
# The approver of kubelets' serving certificates on a control plane. On each of them, so that it is there as long as one is.
# Given: TK_HOST_APPROVE (text of host/installed/approve-kubelet-serving-csrs.sh; empty where kubelets sign their own).

approver_unit() {
    cat <<'UNIT'
[Unit]
Description=Approval of kubelets' serving certificates
After=tailkube-address.service kubelet.service

[Service]
Type=oneshot
ExecStart=/usr/local/lib/tailkube/approve
# Each question to the API has 20 s; a turn of a large cluster has many.
TimeoutStartSec=300
# No line in the journal for each minute in which there was nothing to do. Without an answer from the API the unit fails.
LogLevelMax=notice
UNIT
}

approver_timer() {
    cat <<'UNIT'
[Unit]
Description=Approval of kubelets' serving certificates

[Timer]
OnBootSec=60
OnUnitActiveSec=60
AccuracySec=10

[Install]
WantedBy=timers.target
UNIT
}

install_approver() {
    [ -n "$TK_HOST_APPROVE" ] || return 0
    install_text "$TK_LIB/approve" 0755 "$TK_HOST_APPROVE" || true
    install_text /etc/systemd/system/tailkube-approve.service 0644 "$(approver_unit)" || true
    install_text /etc/systemd/system/tailkube-approve.timer 0644 "$(approver_timer)" || true
    unit_start tailkube-approve.timer
}
