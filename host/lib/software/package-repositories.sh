# shellcheck shell=bash
# requires: lib/software/packages
# Package repositories beside the distribution's own.

# distribution: the name that package repositories have for this host's: debian, ubuntu or raspbian. Derivatives (Armbian) name
# themselves by the distribution that they are made of.
distribution() (
    # shellcheck source=/dev/null
    . /etc/os-release
    case $ID in
    debian | ubuntu | raspbian) echo "$ID" ;;
    *) case ${ID_LIKE:-} in *ubuntu*) echo ubuntu ;; *) echo debian ;; esac ;;
    esac
)
# shellcheck source=/dev/null
codename() (. /etc/os-release && echo "$VERSION_CODENAME")

# host_apt_list URI SUITE: the host's own list that has this repository, in either of apt's two formats; fails if none has. apt
# names no lists that it has not fetched yet.
host_apt_list() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        if [ ! -f "$file" ] || owned "$file"; then continue; fi
        awk -v uri="${1%/}" -v suite="${2%/}" -v format="${file##*.}" '
            function bare(text) {sub(/\/$/, "", text); return text}
            function look(uris, suites, u, s, i, j, n, m) {
                n = split(uris, u, " ")
                m = split(suites, s, " ")
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) if (bare(u[i]) == uri && bare(s[j]) == suite) found = 1
            }
            function stanza() {
                if (field["enabled"] !~ /^ *no *$/) look(field["uris"], field["suites"])
                split("", field)
            }
            format == "list" {sub(/#.*/, ""); sub(/\[[^]]*\]/, " "); if ($1 ~ /^deb(-src)?$/) look($2, $3); next}
            /^#/ {next}
            /^[ \t]*$/ {stanza(); next}
            /^[^ \t]/ {key = tolower($0); sub(/:.*/, "", key); sub(/^[^:]*:/, "")}
            {field[key] = field[key] " " $0}
            END {stanza(); exit !found}' "$file" || continue
        printf '%s\n' "$file"
        return 0
    done
    return 1
}

# apt_repository NAME KEY KEY_URL LINE: a package repository, in the list NAME.list, with its own key in the file KEY, which LINE
# names as `signed-by`. The key may come armoured or not. A host that has the repository already keeps its own list and key: apt
# refuses everything where two lists name different keys for one repository.
apt_repository() {
    local key=$2 url=$3 line=$4 list=/etc/apt/sources.list.d/$1.list theirs uri suite tool
    for tool in curl gpg; do
        command -v "$tool" >/dev/null || apt_install ca-certificates curl gnupg
    done
    # An earlier version of this program had its list there.
    if owned "/etc/apt/sources.list.d/tailkube-$1.list"; then rm -f "/etc/apt/sources.list.d/tailkube-$1.list"; fi
    # "deb [signed-by=…] URI SUITE …"
    read -r _ _ uri suite _ <<<"$line"
    if theirs=$(host_apt_list "$uri" "$suite"); then
        if owned "$list" && [ -e "$list" ]; then
            rm -f -- "$list"
            changed "removed $list: $theirs has the same repository"
        fi
        apt_refresh
        return
    fi
    APT_KEYS+=("$key $url")
    apt_key_valid "$key" || install_apt_key "$key" "$url"
    if install_text "$list" 0644 "$line"; then apt_refresh; fi
}
