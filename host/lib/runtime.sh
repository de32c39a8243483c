# shellcheck shell=bash
# requires: lib/reset
# What a host runs: kernel settings, containerd with our configuration, kubelet/kubeadm/kubectl of the wanted version, and in
# a bundle's case its images. The stage upgrade uses the same functions on a node that has joined.
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
            if poll 2 sysctl -qw "$setting"; then changed "set $setting"; fi
        fi
    done
}

# claim_host: this host is the cluster's from here on. What was found fit once may have got another cluster since, so it is
# looked at again right before, and only then are its folders' later contents taken for ours.
claim_host() {
    local found folder
    if [ -e "$TK_STATE/checked" ] || [ -e "$SENTINEL" ]; then return 0; fi
    found=$(foreign_kubernetes)
    [ -z "$found" ] || fail "this host has a Kubernetes cluster that this program did not make (${found% }); nothing was changed. Take it out with kubeadm reset or the uninstaller of k3s, RKE2 or MicroK8s"
    ask 60 "which containers containerd holds for Kubernetes (ctr -n k8s.io containers ls)" foreign_containers
    [ -z "$ANSWER" ] || fail "containerd on this host holds containers in the namespace k8s.io that this program did not make (${ANSWER% }); nothing was changed. Remove them: ctr -n k8s.io containers ls"
    for folder in "${NODE_FOLDERS[@]}" "$CNI_CONFIGS" "$CNI_CACHE" "$CNI_CACHE/results" /opt/cni/bin; do
        make_parents "$folder"
        # Away again if empty, when all is undone.
        [ -e "$folder" ] || own "$folder"
        remember_folder "$folder"
    done
    remember containerd-config "$(if [ -e /etc/containerd/config.toml ]; then echo theirs; else echo ours; fi)"
    if [ -z "$TK_BUNDLE" ]; then
        ask 60 "which packages are held (apt-mark showhold)" apt-mark showhold
        remember holds-before "$ANSWER"
    fi
    remember checked "$(date -u +%FT%TZ)"
}

# remember NAME TEXT: a record that goes when the stage is undone.
remember() {
    own "$TK_STATE/$1"
    record "$TK_STATE/$1" "$2"
}

# toml_settings: the settings of a text on stdin, one a line, as "table key = value", with one kind of quotes.
toml_settings() {
    awk '{gsub(/\047/, "\""); sub(/^[ \t]+/, "")}
        /^\[/ {gsub(/^\[|\][ \t]*$/, ""); table = $0; next}
        table != "" && / = / {print table " " $0}'
}

# set_toml SETTINGS: a dump of containerd's configuration on stdin with these settings in it. A dump has one setting a line and
# each table once. The user's default runtime stays, and every runtime of runc is in the kubelet's cgroup driver.
set_toml() {
    SETTINGS=$1 awk '
        function emit(key) {print "  " key " = " wanted[table, key]; done[table, key] = 1}
        function finish_table(i, at) {
            for (i = 1; i <= count; i++) {
                split(order[i], at, SUBSEP)
                if (at[1] == table && !((at[1], at[2]) in done)) emit(at[2])
            }
            if (match(table, /\.runtimes\..*\.options$/) && !((table, "SystemdCgroup") in done)) {
                if (runc[substr(table, 1, length(table) - 8)]) print "  SystemdCgroup = true"
            }
            seen[table] = 1
        }
        BEGIN {
            n = split(ENVIRON["SETTINGS"], line, "\n")
            for (i = 1; i <= n; i++) {
                if (line[i] ~ /^[ \t]*\[/) {
                    name = line[i]; gsub(/\047/, "\"", name); gsub(/^[ \t]*\[|\][ \t]*$/, "", name)
                } else if (name != "" && (p = index(line[i], " = "))) {
                    key = substr(line[i], 1, p - 1); gsub(/[ \t]/, "", key)
                    wanted[name, key] = substr(line[i], p + 3)
                    order[++count] = name SUBSEP key
                }
            }
        }
        /^[ \t]*\[/ {
            finish_table()
            table = $0; gsub(/\047/, "\"", table); gsub(/^[ \t]*\[|\][ \t]*$/, "", table)
            print
            next
        }
        p = index($0, " = ") {
            key = substr($0, 1, p - 1); gsub(/[ \t]/, "", key)
            value = substr($0, p + 3); gsub(/\047/, "\"", value)
            # What a file imports is in the dump already.
            if (table == "" && key == "imports") {print "imports = []"; next}
            if (key == "runtime_type" && value == "\"io.containerd.runc.v2\"") runc[table] = 1
            if (key == "default_runtime_name" && value != "\"\"") done[table, key] = 1
            else if (key == "SystemdCgroup" && table ~ /\.runtimes\..*\.options$/ && runc[substr(table, 1, length(table) - 8)]) {
                print "  SystemdCgroup = true"; done[table, key] = 1; next
            } else if ((table, key) in wanted) {emit(key); next}
        }
        {print}
        END {
            finish_table()
            for (n = 1; n <= count; n++) {
                table = order[n]; sub(SUBSEP ".*", "", table)
                if (table in seen) continue
                print "[" table "]"
                finish_table()
            }
            for (table in runc) if (!((table ".options") in seen)) print "[" table ".options]\n  SystemdCgroup = true"
        }'
}

# dump_containerd FILE: the whole configuration that containerd makes of a file and what it imports.
dump_containerd() {
    timeout 30 containerd --config "$1" config dump 2>"$TK_RUN/containerd.log" ||
        fail "containerd does not take its configuration: $(log_tail "$TK_RUN/containerd.log" 3). Mend /etc/containerd/config.toml, or remove it for containerd's defaults"
}

own_containerd_settings() {
    case $(containerd_major) in
    1) printf '%s' "$TK_CONTAINERD_V1" ;;
    2) printf '%s' "$TK_CONTAINERD_V2" ;;
    *) fail "containerd is $(containerd --version 2>&1 | head -n 1). Allowed: 1.6 or newer, and 2.x. Upgrade its package, or remove it" ;;
    esac
}

# their_containerd_config: prints the path of the config.toml that the host had before us, which may have been a link.
their_containerd_config() {
    local config=/etc/containerd/config.toml copy
    copy=$TK_STATE/backup.runtime$config
    if [ -L "$copy" ]; then
        (cd "${config%/*}" && realpath -- "$(readlink -- "$copy")")
    elif [ -e "$copy" ]; then
        echo "$copy"
    else
        echo "$config"
    fi
}

# wanted_containerd_config: the text of config.toml. Where the host had one before us it is theirs, with our settings in it:
# containerd 1.x takes a table of a file that another one imports in the place of the whole of the former, mirrors and runtimes
# with it, so a file beside theirs would not do.
wanted_containerd_config() {
    local ours config=/etc/containerd/config.toml theirs dump
    if [ "$(cat "$TK_STATE/containerd-config" 2>/dev/null)" != theirs ]; then
        own_containerd_settings
        return
    fi
    ours=$(own_containerd_settings) || exit
    # Beside its own place, for it may name what it imports relative to that.
    theirs=$(their_containerd_config)
    # It may hold passwords of registries.
    umask 077
    # Docker's package comes with CRI disabled, and a dump leaves out what is.
    sed -E '/^[[:space:]]*disabled_plugins[[:space:]]*=/{:more; /\]/!{N; b more}; s/["\x27](io\.containerd\.(grpc\.v1\.cri|cri\.v1\.[a-z]+)|cri)["\x27][[:space:]]*,?//g}' "$theirs" >"$config.tailkube"
    dump=$(dump_containerd "$config.tailkube") || exit
    ! grep -qE '^disabled_plugins = .*\.cri(\.v1\.[a-z]+)?["\x27]' <<<"$dump" ||
        fail "a file that $config imports disables containerd's CRI, which Kubernetes needs. Take it out of disabled_plugins there"
    rm -f -- "$config.tailkube"
    set_toml "$ours"$'\n'"$(cni_folder)" <<<"$dump"
}

# Cilium writes its configuration here.
cni_folder() {
    case $(containerd_major) in
    1) printf '[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_dir = "%s"\n' "$CNI_CONFIGS" ;;
    *) printf '[plugins."io.containerd.cri.v1.runtime".cni]\n  conf_dir = "%s"\n' "$CNI_CONFIGS" ;;
    esac
}

# in_force FILE: whether containerd has all of our settings from it.
in_force() {
    local setting dump
    dump=$(dump_containerd "$1" | toml_settings) || return
    while IFS= read -r setting; do
        case $setting in *' default_runtime_name = '*) continue ;; esac
        grep -qxF -- "$setting" <<<"$dump" || {
            echo "$setting"
            return 1
        }
    done < <(own_containerd_settings | toml_settings)
}

# configure_containerd: its configuration, and a restart if that or what it is made of has changed. What it had before comes back
# if it does not start with ours.
configure_containerd() {
    local restart='' config=/etc/containerd/config.toml text missing mode=644 state
    if ! owned "$config"; then back_up "$config"; fi
    make_parents "$config"
    # Before the text is computed, for which a file beside it is needed.
    own "$config"
    # With the line breaks at its end.
    text=$(wanted_containerd_config && printf x) || exit
    text=${text%x}
    if [ "$(cat "$TK_STATE/containerd-config" 2>/dev/null)" = theirs ]; then
        text=${text%$'\n'}
        mode=$(stat -Lc %a "$(their_containerd_config)")
        (umask 077 && printf '%s\n' "$text" >"$config.tailkube")
        missing=$(in_force "$config.tailkube") || fail "containerd would not take the setting '${missing:-of ours}' into this host's $config, which was not changed. Move that file away, or set it there"
        rm -f -- "$config.tailkube"
    fi
    if install_text "$config" "$mode" "$text"; then restart=restart; fi
    # A run may have been killed between the file and the restart.
    ask 30 "which version containerd has (containerd --version)" containerd --version
    state="$ANSWER $(sha256sum <<<"$text")"
    [ "$(cat "$TK_STATE/containerd-runs" 2>/dev/null)" = "$state" ] || restart=restart
    [ ! -e "$TK_RUN/restart/containerd.service" ] || restart=restart
    unit_start containerd.service "$restart" || true
    if poll 60 containerd_answers; then
        [ -z "$restart" ] || remember containerd-runs "$state"
        return 0
    fi
    if [ "$(cat "$TK_STATE/containerd-config" 2>/dev/null)" = theirs ] && [ -n "$restart" ]; then
        cp -a -- "$TK_STATE/backup.runtime$config" "$config.tailkube"
        mv -f -- "$config.tailkube" "$config"
        systemctl restart containerd.service || true
        fail "containerd does not answer with this host's own $config and tailkube's settings in it (journalctl -u containerd); the former file is back. Its socket must be /run/containerd/containerd.sock, and CRI must be enabled"
    fi
    fail "containerd does not answer (journalctl -u containerd) (waited 60 s)"
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

refuse_containerd() {
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
        [ -z "$package" ] || package_is_ours containerd.io || refuse_containerd "$package"
        docker_repository
        apt-mark unhold containerd.io >/dev/null 2>&1 || true
        if [ -z "$wanted" ]; then apt_install containerd.io; else apt_install_version containerd.io "$wanted"; fi
        ;;
    *) refuse_containerd "$package" ;;
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
        if package_is_ours containerd.io; then apt-mark hold containerd.io >/dev/null; fi
    fi
    # Others would make these, and nobody remove them: containerd (which ends itself if the first goes away), the kubelet
    # and Cilium.
    for directory in "$CNI_CONFIGS" /opt/containerd/bin /opt/containerd/lib /usr/libexec/kubernetes/kubelet-plugins/volume/exec /lib/modules; do
        make_parents "$directory/."
    done
    # A shutdown waits for every container that does not heed SIGTERM: 90 s by systemd's default, and as long as the kubelet
    # gives a pod by this.
    install_text /etc/systemd/system/cri-containerd-.scope.d/50-tailkube.conf 0644 $'[Scope]\nTimeoutStopSec=30' || true
    reload_units
    configure_containerd
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
            apt-mark unhold "${older[@]}" >/dev/null 2>&1 || true
            apt_install "${older[@]/%/=$TK_KUBERNETES_VERSION-*}" conntrack socat iptables ethtool iputils-ping curl
        fi
        # Also where a killed run has installed them and no more.
        apt-mark hold "$@" >/dev/null
    fi
    install_text /etc/systemd/system/kubelet.service.d/50-tailkube.conf 0600 "$(kubelet_address_dropin)" || true
    reload_units
    # Not started: it has nothing to run before kubeadm has written its configuration.
    systemctl is-enabled --quiet kubelet || {
        systemctl enable --quiet kubelet || fail "systemctl cannot enable kubelet.service, so it would not start with the host"
        changed "enabled kubelet"
    }
    [ "$(kubeadm version -o short)" = "v$TK_KUBERNETES_VERSION" ] ||
        fail "kubeadm on this host is $(kubeadm version -o short), wanted v$TK_KUBERNETES_VERSION: ${TK_BUNDLE:+the bundle at $TK_BUNDLE has another version}"
}

import_images() {
    local ref path roles present log=$TK_RUN/import.log
    [ -n "$TK_BUNDLE" ] || return 0
    ask 60 "which images containerd has (ctr -n k8s.io images ls)" timeout 30 ctr -n k8s.io images ls -q
    present=$ANSWER
    [ -e "$TK_STATE/images-before" ] || remember images-before "$present"
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

# other_holds: "hold PACKAGE" or "unhold PACKAGE" for each of those that we hold, where it is not as it was.
other_holds() {
    local package held
    held=$(apt-mark showhold) || return
    for package in kubelet kubeadm kubectl containerd.io; do
        if grep -qsxF -- "$package" "$TK_STATE/holds-before"; then
            grep -qxF -- "$package" <<<"$held" || echo "hold $package"
        else
            ! grep -qxF -- "$package" <<<"$held" || echo "unhold $package"
        fi
    done
}
mark_package() { apt-mark "${1% *}" "${1#* }"; }

# restore_holds: of the packages that we hold; those that the user held stay held. Before the record there is none of ours.
restore_holds() {
    if [ ! -e "$TK_STATE/holds-before" ] && [ ! -e "$TK_STATE/checked" ]; then return 0; fi
    until_none 20 "a package's hold is not as it was before, and apt-mark cannot change it" "which packages are held (apt-mark showhold)" other_holds mark_package
}

# images_of_cluster: those that came with it, of a containerd that was here before.
images_of_cluster() {
    local all
    all=$(timeout 30 ctr -n k8s.io images ls -q) || return
    grep -vxFf "$TK_STATE/images-before" <<<"$all" || true
}
remove_image() { timeout 60 ctr -n k8s.io images rm --sync "$1"; }

# empty_ours FOLDER: of a containerd that came with us alone.
empty_ours() {
    [ -d "$1" ] || return 0
    unmount_below "$1"
    find "$1/" -xdev -mindepth 1 -delete
}

# Away with what this stage has made; the node itself is reset before. A run that is killed is done again whole: the records
# go last.
remove_runtime() {
    local fresh='' ours='' restore=''
    unit_stop kubelet.service
    owned /var/lib/containerd/.tailkube runtime && fresh=1
    containerd_is_ours && ours=1
    # Of a containerd that was here before us, all images that came with the cluster, under each of their names.
    if [ -z "$fresh" ] && [ -f "$TK_STATE/images-before" ] && unit_runs containerd.service; then
        until_none 60 "containerd cannot remove an image that came with the cluster" "which images containerd has (ctr -n k8s.io images ls)" images_of_cluster remove_image
    fi
    if [ -n "$ours" ]; then
        unit_stop containerd.service
        # Shims outlive containerd by design.
        pkill -KILL -f '^/usr/local/bin/containerd-shim-runc-v2 ' || true
        if [ -n "$fresh" ]; then
            empty_ours /run/containerd
            empty_ours /var/lib/containerd
            [ ! -d /var/lib/containerd ] || chmod "$(cat "$TK_STATE/containerd-mode")" /var/lib/containerd
            rmdir /run/containerd 2>/dev/null || true
            # Mirrors that the user has named stay.
            find /etc/containerd/certs.d -depth -type d -empty -delete 2>/dev/null || true
        fi
    fi
    if [ -z "$TK_BUNDLE" ]; then restore_holds; fi
    [[ $(their_containerd_config) = /etc/containerd/config.toml ]] || restore=1
    restore_files
    systemctl daemon-reload
    if [ -n "$restore" ] || { [ -z "$ours" ] && [ ! -e /etc/containerd/config.toml ]; }; then
        systemctl try-restart containerd.service
    fi
    forget_files
}
