# shellcheck shell=bash
# requires: lib/software/packages
# Mirrors of registries for containerd: a hosts.toml for each, below /etc/containerd/certs.d. Before runtime.sh.
# Given: TK_REGISTRIES, lines of components/kubernetes/registries.ts: INDEX NAME ENDPOINT,… CA PASSWORD,… HOSTS, the last three as base64 or "-".

REGISTRIES_FOLDER=/etc/containerd/certs.d

decoded() { [ "$1" = - ] || base64 -d <<<"$1"; }

# check_endpoint KEY NAME URL CA PASSWORD: whether a registry's endpoint answers, under that authority and to that password.
check_endpoint() {
    local key=$1 name=$2 url=$3 ca=$4 password=$5 host options=() status=0 code errors=$TK_RUN/registry.errors headers=$TK_RUN/registry.headers
    host=${url#*://}
    host=${host%%/*}
    [ "$ca" = - ] || options+=(--cacert "$ca")
    # By stdin: a command line is for everybody to read.
    code=$(if [ "$password" != - ]; then printf 'user = "%s"\n' "$(decoded "$password" | sed 's/[\\"]/\\&/g')"; fi |
        through_proxy curl --config - -sS -o /dev/null -D "$headers" -w '%{http_code}' --max-time 20 --retry 2 "${options[@]}" "${url%%://*}://$host/v2/" 2>"$errors") || status=$?
    case $status in
    0) ;;
    35 | 51 | 58 | 60 | 77 | 83)
        fail "$key ($name): the certificate of $url is not signed by $([ "$ca" = - ] && echo "an authority that this host knows" || echo "the authorities in its caFile") ($(head -n 1 "$errors")). Set caFile to the authority that signed it"
        ;;
    *) fail "$key ($name): $url does not answer ($(head -n 1 "$errors")). Correct the endpoint, or see that this host reaches it" ;;
    esac
    case $code in
    401 | 403)
        # Registries such as Docker's give out tokens to everybody.
        if [ "$password" = - ] && grep -qi '^www-authenticate: *bearer' "$headers"; then return; fi
        if [ "$password" = - ]; then
            fail "$key ($name): $url asks for a user and a password. Set registryCredentials, with the line '$host USER:PASSWORD'"
        fi
        fail "$key ($name): $url refuses the user and the password that registryCredentials has for $host (HTTP $code). Correct that line"
        ;;
    5*) fail "$key ($name): $url answers with an error (HTTP $code). Look at that registry's log" ;;
    esac
}

# drop_registries NAME...: of the registries that a former run has named, all but these, with what was there before in their place.
drop_registries() {
    local path name
    [ -f "$TK_STATE/owned.$TK_STAGE" ] || return 0
    while IFS= read -r path; do
        name=${path#"$REGISTRIES_FOLDER"/}
        name=${name%/*}
        if [[ " $* " != *" $name "* ]]; then release_path "$path" || true; fi
    done < <(grep -E "^$REGISTRIES_FOLDER/[^/]+/(hosts\.toml|ca\.crt)$" "$TK_STATE/owned.$TK_STAGE" || true)
}

# install_registries: the files, after a look at each endpoint whose files change: a registry that is down does not hold up a node
# that has what it needs. containerd reads them at each pull.
install_registries() {
    local index name endpoints ca passwords hosts folder text authority mode file names=() urls=() secrets=() i
    # shellcheck disable=SC2153 # given
    while read -r index name endpoints ca passwords hosts; do
        [ -n "$index" ] || continue
        names+=("$name")
        folder=$REGISTRIES_FOLDER/$name
        text=$(decoded "$hosts")
        mode=0644
        [ -z "${passwords//[-,]/}" ] || mode=0600
        authority=$(decoded "$ca")
        if [ "$(cat "$folder/hosts.toml" 2>/dev/null)" = "$text" ] && [ "$(cat "$folder/ca.crt" 2>/dev/null)" = "$authority" ]; then continue; fi
        command -v curl >/dev/null || apt_install ca-certificates curl
        IFS=, read -ra urls <<<"$endpoints"
        IFS=, read -ra secrets <<<"$passwords"
        file=-
        if [ "$ca" != - ]; then
            file=$TK_RUN/registry.crt
            printf '%s\n' "$authority" >"$file"
        fi
        for i in "${!urls[@]}"; do
            check_endpoint "mirrors.registries[$index]" "$name" "${urls[i]}" "$file" "${secrets[i]}"
        done
        if [ "$ca" != - ]; then install_text "$folder/ca.crt" 0644 "$authority" || true; fi
        install_text "$folder/hosts.toml" "$mode" "$text" || true
    done <<<"${TK_REGISTRIES:-}"
    drop_registries "${names[@]}"
}
