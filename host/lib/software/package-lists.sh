# shellcheck shell=bash
# requires: lib/software/proxy
# apt's package lists and the keys that they are signed by.

# The repositories of apt_repository: "FILE URL" of each one's key.
APT_KEYS=()

apt_update() {
    local end=$((SECONDS + 180))
    until through_proxy apt-get update -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 >"$TK_RUN/apt.log" 2>&1 </dev/null; do
        # A first boot and apt's own timer lock the lists for a while, for which apt-get has no time-out.
        grep -q 'Could not get lock' "$TK_RUN/apt.log" && [ "$SECONDS" -lt "$end" ] || return 1
        sleep 2
    done
}

# apt_refresh: the lists of the repositories anew, and first of all the keys that apt rejects: a key may be renewed at any time.
apt_refresh() {
    local status=0 key
    apt_update || status=$?
    if [ ${#APT_KEYS[@]} -gt 0 ] && grep -qE 'NO_PUBKEY|EXPKEYSIG|REVKEYSIG|KEYEXPIRED|BADSIG' "$TK_RUN/apt.log"; then
        # apt-get ends well on some of these, and goes on with the lists that it has.
        for key in "${APT_KEYS[@]}"; do install_apt_key "${key%% *}" "${key#* }"; done
        status=0
        apt_update || status=$?
    fi
    [ "$status" = 0 ] || fail "apt-get update failed: $(log_tail "$TK_RUN/apt.log" 3)"
}

# gpg's own folder would be made in root's home.
gpg_here() { (umask 077 && mkdir -p "$TK_RUN/gnupg") && gpg --homedir "$TK_RUN/gnupg" --batch --yes "$@"; }

# apt_key_valid FILE: whether all of it is OpenPGP keys, one of them not expired or revoked.
apt_key_valid() {
    local keys
    [ -s "$1" ] && keys=$(gpg_here --show-keys --with-colons "$1" 2>/dev/null) || return 1
    awk -F : -v now="$(date +%s)" '$1 == "pub" && $2 !~ /[eri]/ && ($7 == "" || $7 > now) {valid = 1} END {exit !valid}' <<<"$keys"
}

# install_apt_key FILE URL: fetched whole and looked at before it takes the former one's place.
install_apt_key() {
    local key=$1 new=$TK_RUN/key
    rm -f -- "$new" "$new.gpg"
    through_proxy curl -fsSL --retry 3 --max-time 60 -o "$new" "$2" || fail "cannot fetch $2: is this host online? Name a mirror in tailkube:mirrors or a proxy in tailkube:proxy; offline hosts need tailkube:bundle"
    if grep -q 'BEGIN PGP' "$new"; then gpg_here --dearmor -o "$new.gpg" "$new" 2>/dev/null || true; else cp -- "$new" "$new.gpg"; fi
    apt_key_valid "$new.gpg" || fail "$2 is no valid signing key for gpg: truncated, expired, or an error page of a proxy. Look at it with curl from this host, and run again"
    ! cmp -s -- "$new.gpg" "$key" || return 0
    claim_path "$key"
    { install -m 0644 -- "$new.gpg" "$key.tailkube" && put_in_place "$key"; } || fail "cannot write $key: is the disk full or read-only?"
    changed "wrote $key"
}
