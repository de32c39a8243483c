# shellcheck shell=bash
# On the operator's machine: OpenSSH's own client, for hosts that need more than an address and a key: jump hosts, the operator's
# ssh-agent, keys with a passphrase, sudo with a password. Before answers.sh, as a child of an ssh-agent of its own.
# Given as environment: TAILKUBE_WAY (ssh's configuration, from components/hosts/openssh.ts, with @DIRECTORY@ and @AGENT@ in it),
# TAILKUBE_AGENT (the socket of the operator's own agent; may be empty).
# On stdin, until an empty line: `passphrase BASE64`, `sudo BASE64`, `key ID BASE64`; or `known BASE64`, the result itself.
# shellcheck disable=SC2034,SC2154  # for the files after this one; directory is theirs

passphrase='' sudo_password=''
decode() { base64 -d <<<"$1"; }

# read_secrets: what stdin begins with. Private keys go into the agent, and only their public halves into files.
read_secrets() {
    local kind first second
    while IFS=' ' read -r kind first second && [ -n "$kind" ]; do
        case $kind in
        passphrase) passphrase=$(decode "$first") ;;
        sudo) sudo_password=$(decode "$first") ;;
        known)
            # The state has the stage's result already.
            decode "$first"
            exit 0
            ;;
        key) add_key "$first" "$second" ;;
        esac
    done
    passphrase=
}

# add_key ID BASE64
add_key() {
    local said before after
    before=$(ssh-add -L 2>/dev/null | grep -c '^[a-z]')
    said=$(decode "$2" | with_passphrase ssh-add -q - 2>&1) || {
        say "ssh-add refuses the private SSH key (${said##*$'\n'}). Is it whole, and does sshKeyPassphrase open it?"
        exit 1
    }
    after=$(ssh-add -L)
    [ "$(grep -c '^[a-z]' <<<"$after")" -gt "$before" ] || {
        say "two of the private SSH keys are the same key. Name one file for both."
        exit 1
    }
    printf '%s\n' "${after##*$'\n'}" >"$directory/$1.pub"
}

# with_passphrase COMMAND...: ssh-add, which gets the passphrase once from SSH_ASKPASS, and that from a pipe: it is in no file, argument or
# environment. The askpass program is bash, which reads $BASH_ENV first: the program's own script could not be run from a /tmp that is mounted noexec.
with_passphrase() {
    local writer status=0
    [ -n "$passphrase" ] || {
        # No question at a terminal.
        SSH_ASKPASS=false SSH_ASKPASS_REQUIRE=force DISPLAY=${DISPLAY:-:0} "$@"
        return
    }
    rm -f "$directory/passphrase"
    mkfifo -m 0600 "$directory/passphrase"
    # Any bash that ssh-add starts reads it, such as a wrapper of ssh-add itself: only the question is answered.
    # shellcheck disable=SC2016  # the other bash expands it
    printf 'case $0 in *passphrase*) cat %q 2>/dev/null; rm -f %q; exit ;; esac\n' "$directory/passphrase" "$directory/passphrase" >"$directory/askpass"
    printf '%s\n' "$passphrase" >"$directory/passphrase" &
    writer=$!
    BASH_ENV=$directory/askpass SSH_ASKPASS=$BASH SSH_ASKPASS_REQUIRE=force DISPLAY=${DISPLAY:-:0} "$@" || status=$?
    kill "$writer" 2>/dev/null
    wait "$writer" 2>/dev/null
    rm -f "$directory/passphrase"
    return "$status"
}

# write_way TEXT NAME: ssh's configuration at $directory/NAME, with its known hosts at $directory/NAME.known.
write_way() {
    local text=$1 at=${directory//%/%%}
    [[ $text != *@AGENT@* ]] || [ -S "${TAILKUBE_AGENT:-}" ] || {
        say "ssh.agent is true, but no ssh-agent is at SSH_AUTH_SOCK (${TAILKUBE_AGENT:-not set}). Start it and add your key (ssh-add), then run again."
        exit 1
    }
    text=${text//@DIRECTORY@/"$at"}
    text=${text//@NAME@/"$2"}
    text=${text//@AGENT@/"${TAILKUBE_AGENT:-none}"}
    sed -n 's/^# known //p' <<<"$text" >"$directory/$2.known" && printf '%s\n' "$text" >"$directory/$2"
}

# all_said FILE: what ssh said, in one line: that of jump hosts comes first. Without the lines that say nothing, and without its advice on
# our own files.
all_said() {
    tr -d '\r' <"$1" | grep -vE '^([[:space:]]|$|@|\*\*|IT IS POSSIBLE|Someone could|It is also|Please contact|Add correct|Offending|stdio forwarding failed)|UNKNOWN port 65535' |
        tail -n 4 | paste -sd ';' - | sed 's/;/; /g'
}

# shows_key_by_way BASE64: as shows_key. Jump hosts are logged in to, the host itself is not.
shows_key_by_way() {
    # No jump host has this user.
    local status=0 probe=tailkube-probe-$RANDOM
    write_way "$(decode "$1")" other || {
        SAID="no temporary file can be made on this machine"
        return 1
    }
    ssh -F "$directory/other" -l "$probe" -o PubkeyAuthentication=no -o PreferredAuthentications=none tailkube-host true \
        </dev/null >"$directory/said" 2>&1 || status=$?
    SAID=$(all_said "$directory/said")
    # It comes to that only behind the right key, and of no jump host.
    [ "$status" = 0 ] || grep -q "^$probe@.*: Permission denied" "$directory/said"
}

# What runs there as the login user, when sudo wants a password. The password is the first line of stdin after this text, and the script
# is the rest. sudo's stdin has only the password, and then ends: a wrong one is tried once, and no line of the script is ever one. The
# script goes through a pipe in a folder of the user's own: a password that sudo does not ask for is never part of it. Only root's shell
# removes that pipe: if it is still there, sudo has not run the command.
as_root=$(
    cat <<'END'
as_root() {
    local password folder feeder status=0
    export LC_ALL=C
    IFS= read -r password
    folder=$(mktemp -d) && mkfifo -m 0600 "$folder/script" || return
    trap 'rm -rf -- "$folder"' EXIT
    exec 3<&0
    cat <&3 >"$folder/script" &
    feeder=$!
    printf '%s\n' "$password" |
        sudo -S -p '' -- bash -c 'exec <"$1" && rm -f -- "$1" && shift && exec "$@"' - "$folder/script" "$@" || status=$?
    if [ -p "$folder/script" ]; then echo 'tailkube-sudo: refused' >&2; status=1; fi
    kill "$feeder" 2>/dev/null
    return "$status"
}
END
)
