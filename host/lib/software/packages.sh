# shellcheck shell=bash
# requires: lib/software/package-lists lib/waiting
# Debian packages: which are installed, and installing them. apt's proxy is that of our own calls alone: what the host's own apt does, and
# with which proxy, is its owner's; a proxy in its configuration comes first.

# dpkg_answer NO ARGUMENT...: what dpkg-query prints; nothing where it says NO. Fails without an answer.
dpkg_answer() {
    local text no=$1
    shift
    text=$(dpkg-query "$@" 2>&1) || {
        [[ $text != *"$no"* ]] || return 0
        printf '%s\n' "$text" >&2
        return 1
    }
    printf '%s\n' "$text"
}

# package_of PATH: the installed package that a file is of; nothing if of none. Fails without an answer.
package_of() {
    local text
    text=$(dpkg_answer 'no path found matching' -S "$(readlink -f -- "$1")") || return
    sed -n '/^diversion /!{s/[:,].*//p;q}' <<<"$text"
}

# What every call of apt-get has. A host's own configuration files stay as they are, without a question.
APT_OPTIONS=(-o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30 -o Acquire::Retries=2
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -y -q --no-install-recommends)

# apt_removals ARGUMENT...: the packages that an installation would remove, each with a blank behind it. Fails without an answer.
apt_removals() { apt-get install --simulate "${APT_OPTIONS[@]}" "$@" </dev/null | awk '$1 == "Remv" {printf "%s ", $2}'; }

# apt_get_install ARGUMENT...: bounded, with one refresh of the lists when a package is not known. It never removes a package.
apt_get_install() {
    local log=$TK_RUN/apt.log removed
    if ! through_proxy apt-get install "${APT_OPTIONS[@]}" --no-remove "$@" >"$log" 2>&1 </dev/null; then
        # An installation that was killed half-way refuses every further one.
        dpkg --configure -a --force-confdef --force-confold >"$log" 2>&1 </dev/null || true
        apt_refresh
        if ! through_proxy apt-get install "${APT_OPTIONS[@]}" --no-remove "$@" >"$log" 2>&1 </dev/null; then
            removed=$(apt_removals "$@" 2>/dev/null) || true
            [ -z "$removed" ] || fail "apt-get install $* would remove ${removed% } from this host, and tailkube removes no package. Remove it yourself if nothing needs it, or change the versions that the config asks for"
            fail "apt-get install $*: $(log_tail "$log" 3)"
        fi
    fi
}

# package_is_ours PACKAGE [STAGE]: whether a stage has recorded that it installs the package.
package_is_ours() { grep -qsxF -- "$1" "$TK_STATE/packages.${2:-$TK_STAGE}"; }

# record_packages PACKAGE[=VERSION]...: those that are not there yet, before they are.
record_packages() {
    local package record=$TK_STATE/packages.$TK_STAGE
    for package in "$@"; do
        package=${package%%=*}
        ask_version "$package"
        if [ -n "$ANSWER" ] || package_is_ours "$package"; then continue; fi
        own "$record"
        record_line "$record" "$package"
    done
}

# apt_install PACKAGE...: recorded first.
apt_install() {
    record_packages "$@"
    apt_get_install "$@"
    changed "installed packages $*"
}

# apt_replace PACKAGE...: the same of packages that take the place of others. The caller has looked which.
apt_replace() {
    local log=$TK_RUN/apt.log
    record_packages "$@"
    through_proxy apt-get install "${APT_OPTIONS[@]}" "$@" >"$log" 2>&1 </dev/null || fail "apt-get install $*: $(log_tail "$log" 3)"
    changed "installed packages $*"
}

# apt_download PACKAGE...: into apt's cache and no further; held packages, too.
apt_download() { apt_get_install --download-only --allow-change-held-packages "$@"; }

# apt_version PACKAGE VERSION: the version of the package that its repositories have for an upstream one; fails if none.
apt_version() {
    apt-cache madison "$1" | awk -F ' *[|] *' -v wanted="$2" '
        {bare = $2; sub(/^[0-9]+:/, "", bare); upstream = bare; sub(/[~+-].*/, "", upstream)}
        bare == wanted || upstream == wanted {print $2; found = 1; exit}
        END {exit !found}'
}

# installed_version PACKAGE: the upstream version of an installed package, or nothing. Fails without an answer.
installed_version() {
    local text
    # shellcheck disable=SC2016  # dpkg's own variables
    text=$(dpkg_answer 'no packages found matching' -W -f '${db:Status-Status} ${Version}' "$1") || return
    awk '$1 == "installed" {v = $2; sub(/^[0-9]+:/, "", v); sub(/[~+-].*/, "", v); print v}' <<<"$text"
}
ask_version() { ask 30 "which version of the package $1 is installed (dpkg-query -W $1)" installed_version "$1"; }

# apt_install_version PACKAGE VERSION: that upstream version of a package, if it is not installed already.
apt_install_version() {
    local exact
    ask_version "$1"
    [ "$ANSWER" != "$2" ] || return 0
    exact=$(apt_version "$1" "$2") || { apt_refresh && exact=$(apt_version "$1" "$2"); } ||
        fail "this host's package repositories have no $1 $2; 'apt-cache madison $1' lists theirs"
    apt_install "$1=$exact"
}
