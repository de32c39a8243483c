# shellcheck shell=bash
# Stage runtime: kernel settings, containerd with our configuration, kubelet/kubeadm/kubectl of the wanted version, and in
# a bundle's case its images. After reset.sh. The stage upgrade uses the same functions on a node that has joined.
# Given: TK_ROLE, TK_KUBERNETES_VERSION, TK_BUNDLE, TK_CONTAINERD_VERSION (empty: the distribution's or the installed one),
# TK_CONTAINERD_V1, TK_CONTAINERD_V2 (configurations by major version).

# The stage tailnet remembers their former values.
SYSCTLS=(
    "net.ipv4.ip_forward=1"
    # A node with many pods runs out of the kernel's default of 128 inotify instances.
    "fs.inotify.max_user_instances=8192"
    "fs.inotify.max_user_watches=524288"
)
MODULES=(overlay tun nf_conntrack)

containerd_unit() {
    cat <<'EOF'
[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target local-fs.target

[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
EOF
}

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

# containerd_version BINARY: without v and without the distribution's suffix.
containerd_version() { "$1" --version 2>/dev/null | awk '{sub(/^v/, "", $3); sub(/[~+-].*/, "", $3); print $3}'; }
containerd_major() { containerd_version containerd | cut -d . -f 1; }
containerd_answers() { timeout 5 ctr version; }

kernel_settings() {
    local module setting key
    install_text /etc/modules-load.d/tailkube.conf 0644 "$(printf '%s\n' "${MODULES[@]}")" || true
    if [ -e /proc/modules ]; then
        for module in "${MODULES[@]}"; do
            # A module built into the kernel is no error for modprobe; one that is missing shows in the facts.
            modprobe "$module" 2>/dev/null || true
        done
    fi
    install_text /etc/sysctl.d/90-tailkube.conf 0644 "$(printf '%s\n' "${SYSCTLS[@]}")" || true
    for setting in "${SYSCTLS[@]}"; do
        key=${setting%%=*}
        if [ "$(sysctl -n "$key")" != "${setting#*=}" ]; then
            # A container that may not set a global limit keeps its own; it is an optimisation.
            if sysctl -qw "$setting" 2>/dev/null; then changed "set $setting"; fi
        fi
    done
}

install_containerd() {
    local config directory file restart=
    if ! command -v containerd >/dev/null || grep -qsxF /usr/local/bin/containerd "$TK_STATE/owned.runtime"; then
        if [ -n "$TK_BUNDLE" ]; then
            # What containerd keeps is removed with it only if there was nothing before.
            if [ -z "$(ls -A /var/lib/containerd 2>/dev/null)" ]; then
                own /var/lib/containerd/.tailkube
                make_parents /var/lib/containerd/.
                [ -e "$TK_STATE/containerd-mode" ] || { own "$TK_STATE/containerd-mode"; stat -c %a /var/lib/containerd >"$TK_STATE/containerd-mode"; }
            fi
            for binary in containerd containerd-shim-runc-v2 ctr; do
                if install_binary "$TK_BUNDLE/bin/$binary" "/usr/local/bin/$binary"; then restart=restart; fi
            done
            if install_text /etc/systemd/system/containerd.service 0644 "$(containerd_unit)"; then
                systemctl daemon-reload
                restart=restart
            fi
        elif [ -z "$TK_CONTAINERD_VERSION" ]; then
            apt_install containerd
        fi
    fi
    if [ -z "$TK_BUNDLE" ] && [ -n "$TK_CONTAINERD_VERSION" ]; then apt_install_version containerd "$TK_CONTAINERD_VERSION"; fi
    case $(containerd_major) in
    1) config=$TK_CONTAINERD_V1 ;;
    2) config=$TK_CONTAINERD_V2 ;;
    *) fail "containerd $(containerd --version 2>&1 | head -n 1): want 1.x (1.6 or newer) or 2.x" ;;
    esac
    # Others would make these, and nobody remove them: containerd (which ends itself if the first goes away), the kubelet
    # and Cilium.
    for directory in /etc/cni/net.d /opt/containerd/bin /opt/containerd/lib /usr/libexec/kubernetes/kubelet-plugins/volume/exec /lib/modules; do
        make_parents "$directory/."
    done
    # Cilium renames the configurations of other networks, and the way out empties the folder.
    if [ ! -e "$TK_STATE/cni-before" ]; then
        own "$TK_STATE/cni-before"
        for file in /etc/cni/net.d/*; do [ ! -f "$file" ] || back_up "$file"; done
        : >"$TK_STATE/cni-before"
    fi
    if install_text /etc/containerd/config.toml 0644 "$config"; then restart=restart; fi
    # A shutdown waits for every container that does not heed SIGTERM: 90 s by systemd's default, and as long as the kubelet
    # gives a pod by this.
    if install_text /etc/systemd/system/cri-containerd-.scope.d/50-tailkube.conf 0644 $'[Scope]\nTimeoutStopSec=30'; then systemctl daemon-reload; fi
    unit_start containerd.service $restart
    wait_for 60 "containerd does not answer (journalctl -u containerd)" containerd_answers
}

# install_kubernetes [BINARY...]: of the wanted version; all of kubelet, kubeadm and kubectl if none is named.
install_kubernetes() {
    local minor=${TK_KUBERNETES_VERSION%.*} reload='' binary older=()
    [ $# -gt 0 ] || set -- kubelet kubeadm kubectl
    if [ -n "$TK_BUNDLE" ]; then
        for binary in "$@"; do
            install_binary "$TK_BUNDLE/bin/$binary" "/usr/local/bin/$binary" || true
        done
        if install_text /etc/systemd/system/kubelet.service 0600 "$(kubelet_unit)"; then reload=1; fi
        if install_text /etc/systemd/system/kubelet.service.d/10-kubeadm.conf 0600 "$(kubelet_kubeadm_dropin)"; then reload=1; fi
    else
        for binary in "$@"; do
            [ "$(installed_version "$binary")" = "$TK_KUBERNETES_VERSION" ] || older+=("$binary")
        done
        if [ ${#older[@]} -gt 0 ]; then
            apt_repository kubernetes "https://pkgs.k8s.io/core:/stable:/v$minor/deb/Release.key" \
                "deb [signed-by=/etc/apt/keyrings/kubernetes.gpg] https://pkgs.k8s.io/core:/stable:/v$minor/deb/ /"
            # Held, so that the distribution's unattended upgrades never move a node out of its turn.
            apt-mark unhold "${older[@]}" >/dev/null 2>&1 || true
            apt_install "${older[@]/%/=$TK_KUBERNETES_VERSION-*}" conntrack socat iptables ethtool iputils-ping curl
        fi
        # Also where a killed run has installed them and no more.
        apt-mark hold "$@" >/dev/null
    fi
    if install_text /etc/systemd/system/kubelet.service.d/50-tailkube.conf 0600 "$(kubelet_address_dropin)"; then reload=1; fi
    [ -z "$reload" ] || systemctl daemon-reload
    # Not started: it has nothing to run before kubeadm has written its configuration.
    systemctl is-enabled --quiet kubelet || { systemctl enable --quiet kubelet && changed "enabled kubelet"; }
    [ "$(kubeadm version -o short)" = "v$TK_KUBERNETES_VERSION" ] ||
        fail "kubeadm on this host is $(kubeadm version -o short), wanted v$TK_KUBERNETES_VERSION: ${TK_BUNDLE:+the bundle at $TK_BUNDLE has another version}"
}

import_images() {
    local ref path roles present log=$TK_RUN/import.log
    [ -n "$TK_BUNDLE" ] || return 0
    present=$(ctr -n k8s.io images ls -q)
    [ -e "$TK_STATE/images-before" ] || { own "$TK_STATE/images-before" && printf '%s\n' "$present" >"$TK_STATE/images-before"; }
    while read -r ref path roles; do
        [[ ,$roles, == *,"$TK_ROLE",* ]] || continue
        grep -qxF -- "$ref" <<<"$present" && continue
        timeout 600 ctr -n k8s.io images import "$TK_BUNDLE/$path" >"$log" 2>&1 || fail "import of $path: $(log_tail "$log" 3)"
        changed "imported $ref"
    done <"$TK_BUNDLE/images.list"
}

# A random text that this host keeps until it is undone: the worker's bootstrap token is derived from it, among others, so that
# a token that was valid once is of no use to a host that is added again.
join_nonce() {
    local path=$TK_STATE/join-nonce
    NONCE=
    [ "$TK_ROLE" = worker ] || return 0
    if [ ! -s "$path" ]; then
        own "$path"
        record "$path" "$(od -An -N16 -v -tx1 /dev/urandom | tr -d ' \n')"
    fi
    NONCE=$(cat "$path")
    [[ $NONCE =~ ^[0-9a-f]{32}$ ]] || fail "$path does not hold 32 hexadecimal digits. Remove the file and run again"
}

apply() {
    # What a node of a cluster runs is changed by the stage upgrade, one node at a time; here all hosts go at once.
    if [ ! -e "$SENTINEL" ]; then
        kernel_settings
        install_containerd
        install_kubernetes
    fi
    import_images
    join_nonce
    result containerd "$(containerd --version | awk '{print $3}')" kubeadm "$(kubeadm version -o short)" nonce "$NONCE"
}

# Away with what this stage has made; the node itself is reset before.
remove_runtime() {
    local fresh='' ours='' restore=''
    unit_stop kubelet.service
    grep -qsxF /var/lib/containerd/.tailkube "$TK_STATE/owned.runtime" && fresh=1
    grep -qsxF /usr/local/bin/containerd "$TK_STATE/owned.runtime" && ours=1
    # Of a containerd that was here before us, all images that came with the cluster, under each of their names.
    if [ -z "$fresh" ] && [ -f "$TK_STATE/images-before" ] && systemctl is-active --quiet containerd; then
        ctr -n k8s.io images ls -q | grep -vxFf "$TK_STATE/images-before" | xargs -r ctr -n k8s.io images rm --sync >/dev/null 2>&1 || true
    fi
    if [ -n "$ours" ]; then
        unit_stop containerd.service
        # Shims outlive containerd by design.
        pkill -KILL -f '^/usr/local/bin/containerd-shim-runc-v2 ' || true
        if [ -n "$fresh" ]; then
            awk '$2 ~ "^(/run/containerd|/var/lib/containerd)/" {print $2}' /proc/mounts | tac | xargs -r -n 1 umount -l 2>/dev/null || true
            find /var/lib/containerd -mindepth 1 -delete
            chmod "$(cat "$TK_STATE/containerd-mode")" /var/lib/containerd
            rm -rf /run/containerd /etc/containerd/certs.d
        fi
    fi
    if [ -z "$TK_BUNDLE" ]; then apt-mark unhold kubelet kubeadm kubectl >/dev/null 2>&1 || true; fi
    [ ! -e "$TK_STATE/backup.runtime/etc/containerd/config.toml" ] || restore=1
    undo_files
    systemctl daemon-reload
    if [ -n "$restore" ] || { [ -z "$ours" ] && [ ! -e /etc/containerd/config.toml ]; }; then
        systemctl try-restart containerd.service
    fi
}
