# shellcheck shell=bash
# requires: lib/software/package-repositories lib/units
# kubelet, kubeadm and kubectl of the wanted version.
# Given: TK_KUBERNETES_VERSION, TK_BUNDLE.

kubelet_unit() {
    cat <<'EOF'
[Unit]
Description=kubelet: the Kubernetes node agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
EOF
}

# The arguments by which kubeadm steers the kubelet; Kubernetes' own packages bring the same.
kubelet_kubeadm_dropin() {
    cat <<'EOF'
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
EOF
}

# Without the declared address the kubelet would register with another one, and etcd could not bind.
kubelet_address_dropin() {
    cat <<'EOF'
[Unit]
Requires=tailkube-address.service
After=tailkube-address.service containerd.service
EOF
}

# install_kubernetes [BINARY...]: of the wanted version; all of kubelet, kubeadm and kubectl if none is named.
install_kubernetes() {
    local base=${TK_PACKAGES_KUBERNETES:-https://pkgs.k8s.io}/core:/stable:/v${TK_KUBERNETES_VERSION%.*}/deb
    local key=/etc/apt/keyrings/kubernetes-apt-keyring.gpg binary older=()
    [ $# -gt 0 ] || set -- kubelet kubeadm kubectl
    if [ -n "$TK_BUNDLE" ]; then
        for binary in "$@"; do
            install_binary "$TK_BUNDLE/bin/$binary" "/usr/local/bin/$binary" || true
        done
        install_text /etc/systemd/system/kubelet.service 0600 "$(kubelet_unit)" || true
        install_text /etc/systemd/system/kubelet.service.d/10-kubeadm.conf 0600 "$(kubelet_kubeadm_dropin)" || true
    else
        for binary in "$@"; do
            ask_version "$binary"
            [ "$ANSWER" = "$TK_KUBERNETES_VERSION" ] || older+=("$binary")
        done
        if [ ${#older[@]} -gt 0 ]; then
            # As kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm has it.
            apt_repository kubernetes "$key" "${TK_PACKAGES_KUBERNETES_KEY:-$base/Release.key}" "deb [signed-by=$key] $base/ /"
            # Held, so that the distribution's unattended upgrades never move a node out of its turn; the user's own holds come
            # back when all is undone.
            poll 10 apt-mark unhold "${older[@]}" || true
            apt_install "${older[@]/%/=$TK_KUBERNETES_VERSION-*}" conntrack socat iptables ethtool iputils-ping curl
        fi
        # Also where a killed run has installed them and no more.
        retry 30 "the packages $* cannot be held, so an upgrade of the host's packages could restart this node out of its turn (apt-mark hold)" apt-mark hold "$@"
    fi
    install_text /etc/systemd/system/kubelet.service.d/50-tailkube.conf 0600 "$(kubelet_address_dropin)" || true
    reload_units
    # Not started: it has nothing to run before kubeadm has written its configuration.
    systemctl is-enabled --quiet kubelet || {
        systemctl enable --quiet kubelet || fail "systemctl cannot enable kubelet.service, so it would not start with the host"
        changed "enabled kubelet"
    }
    ask_kubeadm_version
    [ "$ANSWER" = "v$TK_KUBERNETES_VERSION" ] ||
        fail "kubeadm on this host is $ANSWER, expected v$TK_KUBERNETES_VERSION: ${TK_BUNDLE:+the bundle at $TK_BUNDLE has another version}"
}

ask_kubeadm_version() { ask 30 "which version kubeadm has (kubeadm version)" kubeadm version -o short; }
