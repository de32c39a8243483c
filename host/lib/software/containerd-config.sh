# shellcheck shell=bash
# requires: lib/records/files lib/node/node-paths lib/units
# containerd's configuration: ours, or the host's own with our settings in it.
# Given: TK_CONTAINERD_V1, TK_CONTAINERD_V2 (configurations by major version).

# containerd_version BINARY: without v and without the distribution's suffix. Fails if the binary does not say one.
containerd_version() {
    local text
    text=$("$1" --version) && awk '{sub(/^v/, "", $3); sub(/[~+-].*/, "", $3); print $3; exit $3 == ""}' <<<"$text"
}
# ask_containerd_version: this host's, to ANSWER.
ask_containerd_version() { ask 30 "which version containerd has (containerd --version)" containerd_version containerd; }
# ask_containerd_major: 1 or 2, to CONTAINERD_MAJOR, which decides the configuration's form.
ask_containerd_major() {
    ask_containerd_version
    CONTAINERD_MAJOR=${ANSWER%%.*}
    [[ $CONTAINERD_MAJOR = [12] ]] || fail "containerd is $ANSWER. Allowed: 1.6 or newer, and 2.x. Upgrade its package, or remove it"
}
containerd_answers() { timeout 5 ctr version; }

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
    case $CONTAINERD_MAJOR in
    1) printf '%s' "$TK_CONTAINERD_V1" ;;
    *) printf '%s' "$TK_CONTAINERD_V2" ;;
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

# wanted_containerd_config: the text of config.toml; after ask_containerd_major. Where the host had one before us it is theirs,
# with our settings in it: containerd 1.x takes a table of a file that another one imports in the place of the whole of the
# former, mirrors and runtimes with it, so a file beside theirs would not do.
wanted_containerd_config() {
    local ours config=/etc/containerd/config.toml theirs dump
    if [ "$(cat "$TK_STATE/containerd-config" 2>/dev/null)" != theirs ]; then
        own_containerd_settings
        return
    fi
    ours=$(own_containerd_settings)
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
    case $CONTAINERD_MAJOR in
    1) printf '[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_dir = "%s"\n' "$CNI_CONFIGS" ;;
    *) printf '[plugins."io.containerd.cri.v1.runtime".cni]\n  conf_dir = "%s"\n' "$CNI_CONFIGS" ;;
    esac
}

# missing_setting DUMP: prints the first of our settings that a dump of containerd's configuration lacks, if there is one.
missing_setting() {
    local setting dump
    dump=$(toml_settings <<<"$1")
    while IFS= read -r setting; do
        case $setting in *' default_runtime_name = '*) continue ;; esac
        grep -qxF -- "$setting" <<<"$dump" || {
            echo "$setting"
            return
        }
    done <<<"$(own_containerd_settings | toml_settings)"
}

# configure_containerd: its configuration, and a restart if that or what it is made of has changed. What it had before comes back
# if it does not start with ours.
configure_containerd() {
    local restart='' config=/etc/containerd/config.toml text dump missing mode=644 state
    ask_containerd_major
    # Before the text is computed, for which a file beside it is needed.
    claim_path "$config"
    # With the line breaks at its end.
    text=$(wanted_containerd_config && printf x) || exit
    text=${text%x}
    if [ "$(cat "$TK_STATE/containerd-config" 2>/dev/null)" = theirs ]; then
        text=${text%$'\n'}
        mode=$(stat -Lc %a "$(their_containerd_config)")
        (umask 077 && printf '%s\n' "$text" >"$config.tailkube")
        dump=$(dump_containerd "$config.tailkube") || exit
        missing=$(missing_setting "$dump")
        [ -z "$missing" ] || fail "containerd would not take the setting '$missing' into this host's $config, which was not changed. Move that file away, or set it there"
        rm -f -- "$config.tailkube"
    fi
    if install_text "$config" "$mode" "$text"; then restart=restart; fi
    # A run may have been killed between the file and the restart.
    ask 30 "which version containerd has (containerd --version)" containerd --version
    state="$ANSWER $(sha256sum <<<"$text")"
    [ "$(cat "$TK_STATE/containerd-runs" 2>/dev/null)" = "$state" ] || restart=restart
    [ ! -e "$TK_RUN/restart/containerd.service" ] || restart=restart
    if try_unit_start containerd.service "$restart" && poll 60 containerd_answers; then
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
