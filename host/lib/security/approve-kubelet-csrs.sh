# shellcheck shell=bash
# requires: lib/api
# Kubelets' certificate requests: which of them are honest, and the approval of exactly those. Part of the stage admit and of
# installed/approve-kubelet-serving-csrs.sh, which brings its own kubectl_admin.
#
# Anybody with a bootstrap token or a node's certificate can create requests, and chooses everything in them: their names, too,
# which the API does not restrict, and by an earlier certificate even the user name. So kubectl prints each field as hex, the
# comparison is of hex, and nothing becomes text again that does not consist of harmless characters alone.

# A line "r|name|uid|version|created|signer|user|groups|usages|request" for each request that waits. Honest ones have some 800
# bytes; what has more than 4095 is cut here, and by waiting_requests.
# shellcheck disable=SC2016  # a template's variables, not the shell's
REQUEST_FIELDS='{{define "hex"}}{{with .}}{{if lt (len .) 256}}{{printf "%x" .}}{{else}}-{{end}}{{end}}{{end}}
{{- define "request"}}{{$decided := false}}{{with .status}}{{if or .conditions .certificate}}{{$decided = true}}{{end}}{{end}}
{{- if not $decided}}r|{{template "hex" .metadata.name}}|{{template "hex" .metadata.uid}}|{{template "hex" .metadata.resourceVersion}}
{{- ""}}|{{template "hex" .metadata.creationTimestamp}}|{{template "hex" .spec.signerName}}|{{template "hex" .spec.username}}|
{{- range .spec.groups}}{{if eq . "system:nodes"}}n{{else if eq . "system:bootstrappers:tailkube"}}b{{end}}{{end}}|
{{- range .spec.usages}}{{template "hex" .}},{{end}}|
{{- with .spec.request}}{{if lt (len .) 4096}}{{printf "%x" .}}{{else}}-{{end}}{{end}}{{"\n"}}{{end}}{{end}}
{{- ""}}'

# hex_text TEXT: sets HEX. Without a process of its own.
hex_text() {
    local i byte
    HEX=
    for ((i = 0; i < ${#1}; i++)); do
        printf -v byte '%02x' "'${1:i:1}"
        HEX+=$byte
    done
}

# judge_requests KIND LINES: LINES are "d|NODE|VALUE" (hex) for each node that may ask, and requests. KIND is
#   serving: the user is the node, VALUE is its address, and the request is for its name and this address;
#   client: VALUE is the ID of the bootstrap token that was made for this node alone, and the request is for its identity.
# Prints "yes|node|name|uid|version|created" or "no|uid|name|user|why", without any character that a requester could abuse.
# The request (RFC 2986) has to be DER (X.690) that consists of what a kubelet writes and of nothing else; only the public key
# and the signature may be any, and the API server has verified that they belong together.
# shellcheck disable=SC2016
judge_requests() {
    printf '%s\n' "$2" | awk -F '|' -v kind="$1" '
        function hex(text,   i, out) {
            out = ""
            for (i = 1; i <= length(text); i++) out = out code[substr(text, i, 1)]
            return out
        }
        # The text, if all of it is printable ASCII without blanks.
        function plain(hexed,   i, pair, out) {
            out = ""
            if (hexed == "" || length(hexed) % 2) return ""
            for (i = 1; i < length(hexed); i += 2) {
                pair = substr(hexed, i, 2)
                if (!(pair in harmless)) return ""
                out = out harmless[pair]
            }
            return out
        }
        # What the log shows of a text.
        function shown(hexed,   text) {
            if (hexed == "-") return "(a long text)"
            if (substr(hexed, 1, 1) == "-") return "(JSON in hex) " substr(hexed, 2)
            text = plain(hexed)
            if (text != "" && length(text) <= 100) return text
            return "(hex) " substr(hexed, 1, 100) (length(hexed) > 100 ? "..." : "")
        }
        function is_name(text) { return text ~ /^[a-z0-9][a-z0-9.-]*$/ }
        function is_label(text) { return length(text) <= 63 && text ~ /^[a-z0-9][a-z0-9-]*$/ && text !~ /-$/ }
        # An IPv4 address as 8 hex digits.
        function address_of(text,   part, n, i, out) {
            if (text !~ /^[0-9.]+$/) return ""
            n = split(text, part, ".")
            out = ""
            for (i = 1; i <= n; i++) {
                if (part[i] == "" || length(part[i]) > 3 || part[i] + 0 > 255) return ""
                out = out sprintf("%02x", part[i])
            }
            return n == 4 ? out : ""
        }
        # tag, length and content; the content is shorter than 128 bytes.
        function tlv(tag, content) { return tag sprintf("%02x", length(content) / 2) content }
        function number(digits,   i, n) {
            n = 0
            for (i = 1; i <= length(digits); i++) n = n * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
            return n
        }
        # Whether an element with that tag begins there; inside is where its content begins, behind is behind it.
        function element(at, tag,   size) {
            if (substr(der, at, 2) != tag) return 0
            size = substr(der, at + 2, 2)
            if (size == "82") { inside = at + 8; size = number(substr(der, at + 4, 4)); if (size < 256) return 0 }
            else if (size == "81") { inside = at + 6; size = number(substr(der, at + 4, 2)); if (size < 128) return 0 }
            else { inside = at + 4; size = number(size); if (size > 127) return 0 }
            behind = inside + 2 * size
            return behind <= length(der) + 1
        }
        function follows(at, text) {
            if (substr(der, at, length(text)) != text) return 0
            behind = at + length(text)
            return 1
        }
        # The bytes that a text in base64 stands for, both in hex, from one position to before another one.
        function bytes_of(text, from, to,   i, c, four, count, pads, out) {
            four = count = pads = 0
            out = ""
            for (i = from; i < to; i += 2) {
                c = substr(text, i, 2)
                if (c == "0a") continue
                if (c == "3d") pads++
                else if (pads || !(c in digit)) return ""
                four = four * 64 + (c == "3d" ? 0 : digit[c])
                if (++count % 4 == 0) { out = out sprintf("%06x", four); four = 0 }
            }
            return count % 4 || pads > 2 ? "" : substr(out, 1, length(out) - 2 * pads)
        }
        # What stands in a PEM text that is one certificate request and nothing else.
        function content_of(pem,   stop) {
            stop = length(pem) - length(foot) + 1
            if (stop < length(head) + 1 || substr(pem, 1, length(head)) != head || substr(pem, stop) != foot) return ""
            return bytes_of(pem, length(head) + 1, stop)
        }
        # Whether the request asks for exactly that subject and those attributes.
        function asks_for(request, name, attributes,   all, info, at, subject, o, n) {
            der = content_of(bytes_of(request, 1, length(request)))
            if (der == "" || !element(1, "30") || behind != length(der) + 1) return 0
            all = behind
            if (!element(inside, "30")) return 0
            info = behind
            if (!follows(inside, "020100") || !element(behind, "30")) return 0
            at = inside
            subject = behind
            # Two attributes, each a PrintableString or a UTF8String: the organisation, then the common name.
            o = organisation
            n = tlv("", hex("system:node:" name))
            if (!follows(at, set_of("060355040a13" o)) && !follows(at, set_of("060355040a0c" o))) return 0
            at = behind
            if (!follows(at, set_of("060355040313" n)) && !follows(at, set_of("06035504030c" n))) return 0
            if (behind != subject || !element(behind, "30")) return 0
            if (!follows(behind, attributes) || behind != info) return 0
            if (!element(behind, "30") || !element(behind, "03")) return 0
            return behind == all
        }
        function set_of(attribute) { return tlv("31", tlv("30", attribute)) }
        # DNS:name and IP:address, as the only extension, which is not critical (RFC 5280, 4.2.1.6).
        function names_of(name, address,   san) {
            san = tlv("04", tlv("30", tlv("82", hex(name)) tlv("87", address)))
            san = tlv("31", tlv("30", tlv("30", "0603551d11" san)))
            return tlv("a0", tlv("30", "06092a864886f70d01090e" san))
        }
        function no(why) { print "no|" plain($3) "|" shown($2) "|" shown($7) "|" why }

        BEGIN {
            for (i = 0; i < 256; i++) {
                c = sprintf("%c", i)
                code[c] = sprintf("%02x", i)
                if (i > 32 && i < 127 && c !~ /[|"\\`$<>{}%]/) harmless[code[c]] = c
            }
            base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            for (i = 1; i <= 64; i++) digit[code[substr(base64, i, 1)]] = i - 1
            head = hex("-----BEGIN CERTIFICATE REQUEST-----") "0a"
            foot = hex("-----END CERTIFICATE REQUEST-----") "0a"
            organisation = tlv("", hex("system:nodes"))
            serving = kind == "serving"
            signer = hex("kubernetes.io/" (serving ? "kubelet-serving" : "kube-apiserver-client-kubelet"))
            prefix = hex(serving ? "system:node:" : "system:bootstrap:")
            ds = hex("digital signature") ","
            ke = hex("key encipherment") ","
            auth = hex(serving ? "server auth" : "client auth") ","
            usages[ds auth] = usages[ds ke auth] = usages[ke ds auth] = 1
        }
        $1 == "d" && NF == 3 {
            name = plain($2)
            value = plain($3)
            if (!is_label(name) || (serving ? address_of(value) == "" : value !~ /^[a-z0-9]+$/)) next
            user = prefix (serving ? $2 : $3)
            node_of[user] = name
            attributes_of[user] = serving ? names_of(name, address_of(value)) : "a000"
            wish_of[user] = serving ? name " and " value : "the identity of " name
        }
        $1 == "r" && NF == 10 {
            user = $7
            if (substr(user, 1, length(prefix)) != prefix || plain(user) == "") no(serving ? "its user is no node" : "its user has no bootstrap token")
            else if (!(user in node_of)) no("its user is " (serving ? "not a declared node" : "not being admitted"))
            else if (index($8, serving ? "n" : "b") == 0) no("its user is not in the group that it has to be in")
            else if ($6 != signer) no("it is for another signer, " shown($6))
            else if (!($9 in usages)) no("its usages are not those of a kubelet")
            else if (substr($10, 1, 1) == "-") no("it is too large")
            else if (!is_name(plain($2)) || plain($3) !~ /^[0-9a-f-]+$/ || plain($4) !~ /^[0-9]+$/ || plain($5) !~ /^[0-9TZ:-]+$/) no("its name is not one that a kubelet gives")
            else if (!asks_for($10, node_of[user], attributes_of[user])) no("it does not ask for exactly " wish_of[user])
            else print "yes|" node_of[user] "|" plain($2) "|" plain($3) "|" plain($4) "|" plain($5)
        }'
}

# waiting_requests SIGNER: their lines. kubectl would hold all of them in its memory several times, and a few hundred large ones
# are enough to have it killed: this reads the stream of JSON from one quotation mark to the next and keeps nothing. It only
# chooses what is worth a second look (request_line), so that a mistake here approves nothing.
# shellcheck disable=SC2016
waiting_requests() {
    kubectl_admin get --raw "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3D${1/\//%2F}" | awk -v RS='"' '
        function hex(text, most,   i, out) {
            out = ""
            # What JSON has to escape, no kubelet writes, nor what is longer: its beginning, for the log, and no longer hex.
            if (length(text) > most || text ~ /\\/) {
                out = "-"
                text = most > 255 ? "" : substr(text, 1, 60)
            }
            for (i = 1; i <= length(text); i++) out = out code[substr(text, i, 1)]
            return out
        }
        function value(text) {
            if (depth == 4 && where == ".items.metadata") {
                if (key == "name") name = hex(text, 255)
                else if (key == "uid") uid = hex(text, 255)
                else if (key == "resourceVersion") version = hex(text, 255)
                else if (key == "creationTimestamp") created = hex(text, 255)
            } else if (depth == 4 && where == ".items.spec") {
                if (key == "signerName") signer = hex(text, 255)
                else if (key == "username") user = hex(text, 255)
                else if (key == "request") request = hex(text, 4095)
            } else if (depth == 5 && where == ".items.spec.groups") {
                if (text == "system:nodes") groups = groups "n"
                else if (text == "system:bootstrappers:tailkube") groups = groups "b"
            } else if (depth == 5 && where == ".items.spec.usages") usages = usages hex(text, 255) ","
        }
        # depth: 1 in the list, 2 in its items, 3 in one of them, 4 in its metadata, spec or status.
        function structure(text,   i, c) {
            gsub(/[^]{}[,:]/, "", text)
            for (i = 1; i <= length(text); i++) {
                c = substr(text, i, 1)
                if (c == "{" || c == "[") {
                    before[depth] = where
                    kind[++depth] = c
                    # What stands in a list has no key of its own.
                    if (depth > 1 && kind[depth - 1] == "{") where = where "." key
                    if (depth == 3 && where == ".items") {
                        name = uid = version = created = signer = user = request = groups = usages = decided = ""
                    }
                    key = ""
                } else if (c == "}" || c == "]") {
                    if (depth == 3 && where == ".items" && !decided)
                        print "r|" name "|" uid "|" version "|" created "|" signer "|" user "|" groups "|" usages "|" request
                    where = before[--depth]
                    key = ""
                } else if (c == ":") { key = last; is_value = 1 }
                else key = ""
                if (c != ":") is_value = 0
            }
        }
        BEGIN {
            for (i = 0; i < 256; i++) code[sprintf("%c", i)] = sprintf("%02x", i)
            depth = 0
        }
        !inside { structure($0); inside = 1; text = ""; next }
        {
            # A quotation mark behind an odd number of backslashes is part of the text; a text of that kind is never kept.
            text = escaped ? text : $0
            slashes = 0
            for (i = length($0); i > 0 && substr($0, i, 1) == "\\"; i--) slashes++
            if (slashes % 2) { escaped = 1; next }
            inside = escaped = 0
            last = text
            if (is_value || kind[depth] == "[") value(text)
            if (depth == 4 && where == ".items.status" && is_value && key == "certificate") decided = 1
            if (depth == 6 && where == ".items.status.conditions") decided = 1
        }'
}

# The line of one request; nothing if it is gone or decided.
request_line() { kubectl_admin get certificatesigningrequests "$1" --ignore-not-found -o "go-template=$REQUEST_FIELDS{{template \"request\" .}}"; }

# approve_request KIND DECLARED NAME UID: reads this one once more, judges what it has read and approves that version of that
# object or nothing. Returns 1 if there is nothing left to approve, 2 if the API did not answer or refuses.
approve_request() {
    local line verdict name uid version
    line=$(request_line "$3" 2>/dev/null) || return 2
    IFS='|' read -r verdict _ name uid version _ <<<"$(judge_requests "$1" "$2"$'\n'"$line")"
    [ "$verdict" = yes ] && [ "$name" = "$3" ] && [ "$uid" = "$4" ] || return 1
    kubectl_admin replace --raw "/apis/certificates.k8s.io/v1/certificatesigningrequests/$name/approval" -f - >/dev/null 2>&1 <<END && return 0
{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest",
"metadata":{"name":"$name","uid":"$uid","resourceVersion":"$version"},
"status":{"conditions":[{"type":"Approved","status":"True","reason":"TailkubeApproved","message":"It asks for exactly what this node may have."}]}}
END
    # Another control plane may have been faster.
    line=$(request_line "$3" 2>/dev/null) || return 2
    [ -z "$line" ] || return 2
    return 1
}

# serve_requests KIND DECLARED LINES: approves the honest ones among LINES. Each node has its turn before one has its second,
# the newest request first, for a kubelet waits for its last one; more than three of a node are left for the next time.
# Sets APPROVED (names of nodes), REFUSED ("uid|name|user|why" each) and UNANSWERED (names of requests that the API did not
# let it approve).
# shellcheck disable=SC2034  # callers read them
serve_requests() {
    local verdicts verdict node name uid rest turn turns=() status
    local -A taken=()
    APPROVED=() REFUSED=() UNANSWERED=()
    # DECLARED first: a request of a node that is not known yet is nobody's.
    verdicts=$(judge_requests "$1" "$2"$'\n'"$3") || return
    mapfile -t REFUSED < <(sed -n 's/^no|//p' <<<"$verdicts")
    while IFS='|' read -r verdict node name uid rest; do
        [ "$verdict" = yes ] || continue
        turn=${taken[$node]:-0}
        taken[$node]=$((turn + 1))
        [ "$turn" -ge 3 ] || turns[turn]+="$node $name $uid"$'\n'
    done < <(sort -t '|' -k 6,6r <<<"$verdicts")
    while read -r node name uid; do
        [ -n "$node" ] || continue
        status=0
        approve_request "$1" "$2" "$name" "$uid" || status=$?
        case $status in
        0) APPROVED+=("$node") ;;
        2) UNANSWERED+=("$name") ;;
        esac
    done < <(printf '%s' "${turns[@]}")
}
