# shellcheck shell=bash
# requires: lib/software/containerd-config lib/software/package-repositories
# containerd on a host: from a bundle, the distribution or Docker's repository.
# Given: TK_BUNDLE, TK_CONTAINERD_VERSION (empty: the distribution's or the installed one), and what proxy.sh needs.

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

# containerd_is_ours: from a bundle of ours.
containerd_is_ours() { owned /usr/local/bin/containerd runtime; }

# containerd_package: prints the package that this host's containerd belongs to; nothing if it has none, or the bundle's.
containerd_package() {
    command -v containerd >/dev/null && ! containerd_is_ours || return 0
    local package
    package=$(package_of "$(command -v containerd)") || return
    echo "${package:-no package}"
}

# Docker's repository is the one that has containerd 2.x for each distribution: Debian 12 itself has 1.6, 13 and Ubuntu 24.04 have 1.7.
docker_repository() {
    local base=${TK_PACKAGES_DOCKER:-https://download.docker.com} key=/etc/apt/keyrings/docker.gpg id suite
    id=$(distribution)
    suite=$(codename)
    # Docker has no 64-bit packages under Raspberry Pi OS's own name.
    [ "$id" != raspbian ] || id=debian
    apt_repository docker "$key" "${TK_PACKAGES_DOCKER_KEY:-$base/linux/$id/gpg}" "deb [signed-by=$key] $base/linux/$id $suite stable"
}

reject_containerd() {
    fail "containerd is $(containerd_version containerd) of $1, and tailkube does not replace another package's. Remove tailkube:kubernetes.containerdVersion, or upgrade $1 to $TK_CONTAINERD_VERSION"
}

# install_containerd_package: containerd.io of a host that has none, and the wanted version of one that has the distribution's or
# ours. The distribution's gives way where it has not got the wanted version, which takes its runc along.
install_containerd_package() {
    local package wanted=$TK_CONTAINERD_VERSION exact removed
    ask 30 "which package this host's containerd is of (dpkg-query -S)" containerd_package
    package=$ANSWER
    if [ -n "$package" ] && { [ -z "$wanted" ] || [ "$(containerd_version containerd)" = "$wanted" ]; }; then return; fi
    case $package in
    containerd)
        if apt_version containerd "$wanted" >/dev/null || { apt_refresh && apt_version containerd "$wanted" >/dev/null; }; then
            apt_install_version containerd "$wanted"
            return
        fi
        docker_repository
        exact=$(apt_version containerd.io "$wanted") || fail "neither this host's repositories nor Docker's have containerd $wanted; 'apt-cache madison containerd containerd.io' lists theirs"
        ask 60 "what an installation of containerd.io $exact would remove from this host (apt-get install --simulate)" apt_removals "containerd.io=$exact"
        removed=$(tr ' ' '\n' <<<"$ANSWER" | awk 'NF && !/^(containerd|runc)$/ {printf "%s ", $1}')
        [ -z "$removed" ] || fail "containerd $wanted is in Docker's package containerd.io alone, which would remove ${removed% } from this host. Remove tailkube:kubernetes.containerdVersion, or remove these yourself if nothing needs them"
        apt_replace "containerd.io=$exact"
        ;;
    '' | containerd.io)
        [ -z "$package" ] || package_is_ours containerd.io || reject_containerd "$package"
        docker_repository
        poll 10 apt-mark unhold containerd.io || true
        if [ -z "$wanted" ]; then apt_install containerd.io; else apt_install_version containerd.io "$wanted"; fi
        ;;
    *) reject_containerd "$package" ;;
    esac
}

install_containerd() {
    local directory
    if ! command -v containerd >/dev/null || containerd_is_ours; then
        if [ -n "$TK_BUNDLE" ]; then
            # What containerd keeps is removed with it only if there was nothing before.
            if [ -z "$(ls -A /var/lib/containerd 2>/dev/null)" ] && ! owned /var/lib/containerd/.tailkube runtime; then
                make_parents /var/lib/containerd/.
                remember containerd-mode "$(stat -Lc %a /var/lib/containerd)"
                own /var/lib/containerd/.tailkube
            fi
            for binary in containerd containerd-shim-runc-v2 ctr; do
                TK_READERS=containerd.service install_binary "$TK_BUNDLE/bin/$binary" "/usr/local/bin/$binary" || true
            done
            TK_READERS=containerd.service install_text /etc/systemd/system/containerd.service 0644 "$(containerd_unit)" || true
        fi
    fi
    if [ -z "$TK_BUNDLE" ]; then
        install_containerd_package
        # Held like the kubelet: a node's software changes only in that node's turn. Also after a run that was killed in between.
        if package_is_ours containerd.io; then
            retry 30 "the package containerd.io cannot be held, so an upgrade of the host's packages could restart containerd out of its turn (apt-mark hold)" apt-mark hold containerd.io
        fi
    fi
    # Others would make these, and nobody remove them: containerd (which ends itself if the first goes away), the kubelet
    # and Cilium.
    for directory in "$CNI_CONFIGS" /opt/containerd/bin /opt/containerd/lib /usr/libexec/kubernetes/kubelet-plugins/volume/exec /lib/modules; do
        make_parents "$directory/."
    done
    # A shutdown waits for every container that does not heed SIGTERM: 90 s by systemd's default, and as long as the kubelet
    # gives a pod by this.
    install_text /etc/systemd/system/cri-containerd-.scope.d/50-tailkube.conf 0644 $'[Scope]\nTimeoutStopSec=30' || true
    install_proxy containerd.service "${TK_PROXY:-}"
    reload_units
    configure_containerd
}
