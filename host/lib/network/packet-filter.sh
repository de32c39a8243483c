# shellcheck shell=bash
# Whether this host's own packet filter lets the cluster's packets through: ufw, firewalld, rules of a cloud's image. Reads the rules
# and follows them as the kernel would for a new connection; what a rule asks of a packet and is not known beforehand is "maybe".
# shellcheck disable=SC2034  # FILTER_… are read by TK_REQUIREMENTS

# read_packet_filter FIREWALLD: to FILTER_IPTABLES and FILTER_NFT, the rules as iptables and nft print them, and to FILTER_UNKNOWN why they
# cannot be read; empty if they can, and if there are none. FIREWALLD is not empty if that runs.
read_packet_filter() {
    local text tool incomplete=''
    FILTER_IPTABLES='' FILTER_NFT='' FILTER_UNKNOWN=''
    if [ "$(id -u)" != 0 ]; then
        FILTER_UNKNOWN="?only root can read the rules"
        return
    fi
    for tool in iptables-save iptables-legacy-save; do
        command -v "$tool" >/dev/null || continue
        if text=$(timeout 10 "$tool" 2>/dev/null); then
            # It prints the table without the chains that nft has made there.
            if [[ $text == *incompatible* ]]; then
                incomplete=1
            else
                FILTER_IPTABLES+=$text$'\n'
            fi
        else
            FILTER_UNKNOWN="?$tool fails"
        fi
    done
    if command -v nft >/dev/null; then
        FILTER_NFT=$(timeout 10 nft list ruleset 2>/dev/null) || FILTER_UNKNOWN="?nft list ruleset fails"
    elif [ -n "$incomplete" ]; then
        FILTER_UNKNOWN="?iptables-save shows only a part of the rules, and nft is not installed"
    elif [ -z "$FILTER_IPTABLES" ] && ! filter_modules_absent; then
        FILTER_UNKNOWN="?neither nft nor iptables-save is installed"
    elif [ -n "$1" ] && [[ $FILTER_IPTABLES != *_ZONES* ]]; then
        FILTER_UNKNOWN="?firewalld runs, and nft, which shows its rules, is not installed"
    fi
}

# filter_modules_absent: without the kernel's modules there can be no rules.
filter_modules_absent() { [ -r /proc/modules ] && ! grep -qE '^(nf_tables|ip_tables) ' /proc/modules; }

# What both forms of rules need: matches with three answers, and the walk through the chains. Rules that do not match are left out.
# shellcheck disable=SC2016  # awk's own variables
FILTER_AWK='
function number(address, part) { split(address, part, "."); return ((part[1] * 256 + part[2]) * 256 + part[3]) * 256 + part[4] }
# The first and the last address of A, A/LENGTH or A-B, to FROM and TO.
function range(text, at, size) {
    if (at = index(text, "-")) { FROM = number(substr(text, 1, at - 1)); TO = number(substr(text, at + 1)); return }
    at = index(text, "/")
    size = at ? substr(text, at + 1) : 32
    if (size ~ /\./) { FROM = 0; TO = 4294967295; return }
    size = 2 ^ (32 - size)
    FROM = number(at ? substr(text, 1, at - 1) : text)
    FROM -= FROM % size
    TO = FROM + size - 1
}
# Whether a rule has all addresses of a network that packets come from or go to.
function in_network(ours, rule, low, high) {
    if (rule !~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/) return "no"
    if (rule ~ /^0\.0\.0\.0\/0/) return "yes"
    # An address that is not known is one of a host, and so no loopback, link-local or multicast one.
    if (ours == "?") return rule ~ /^(127|169\.254|22[4-9]|23[0-9]|255)\./ ? "no" : "maybe"
    range(ours); low = FROM; high = TO
    range(rule)
    return low >= FROM && high <= TO ? "yes" : high < FROM || low > TO ? "no" : "maybe"
}
function in_interfaces(ours, rule, bare) {
    bare = rule
    gsub(/"/, "", bare)
    if (bare ~ /[+*]$/) { sub(/[+*]$/, "", bare); if (index(ours, bare) == 1) return "yes" }
    if (ours == bare) return "yes"
    # A pod: which of its interfaces the kernel names depends on how Cilium routes.
    if (ours ~ /^lxc/ && bare ~ /^(cilium|lxc)/) return "maybe"
    if (ours != "?") return "no"
    return bare ~ /^(lo$|docker|br-|virbr|lxdbr|lxcbr|incusbr|podman|cni|veth|wg|tun)/ ? "no" : "maybe"
}
function in_ports(ours, rule, part) { sub(/:/, "-", rule); split(rule (rule ~ /-/ ? "" : "-" rule), part, "-"); return ours + 0 >= part[1] + 0 && ours + 0 <= part[2] + 0 ? "yes" : "no" }
function one(kind, ours, rule, table) {
    if (rule ~ /^@/) return (table SUBSEP substr(rule, 2)) in SETS ? among(kind, ours, SETS[table, substr(rule, 2)]) : "maybe"
    if (kind == "address") return in_network(ours, rule)
    if (kind == "interface") return in_interfaces(ours, rule)
    if (kind == "port") return in_ports(ours, rule)
    return tolower(rule) == ours ? "yes" : "no"
}
function among(kind, ours, list, table, count, item, i, answer, is) {
    gsub(/[{} ]/, "", list)
    count = split(list, item, ",")
    answer = "no"
    for (i = 1; i <= count; i++) {
        is = one(kind, ours, item[i], table)
        if (is == "yes") return "yes"
        if (is == "maybe") answer = "maybe"
    }
    return answer
}
function inverse(answer) { return answer == "yes" ? "no" : answer == "no" ? "yes" : answer }
# MATCH so far, with one more condition.
function also(answer) { if (answer == "no" || (answer == "maybe" && MATCH == "yes")) MATCH = MATCH == "no" ? "no" : answer }
function add_rule(chain, target, text, at) {
    # What the kubelet, Cilium and tailscaled have added is for the cluster itself.
    if (MATCH == "no" || target == "" || target ~ /^(jump|goto) (KUBE-|CILIUM_|ts-)/) return
    at = ++RULES[chain]
    MATCHES[chain, at] = MATCH; TARGETS[chain, at] = target; TEXTS[chain, at] = text
}

# What comes of a chain, of the letters a (accepted), d (dropped) and r (returns).
function both(x, y, i) { for (i = 1; i <= length(y); i++) if (!index(x, substr(y, i, 1))) x = x substr(y, i, 1); return x }
function walk(chain, depth, i, out, target, got, name) {
    if (depth > 30) return "adr"
    out = ""
    for (i = 1; i <= RULES[chain]; i++) {
        target = TARGETS[chain, i]
        if (target ~ /^(jump|goto) /) {
            name = substr(target, 6)
            got = walk(TABLE_OF[chain] SUBSEP name, depth + 1)
            if (target ~ /^goto/) { out = both(out, got); if (MATCHES[chain, i] == "yes") return out; continue }
            out = both(out, index(got, "a") ? "a" : ""); out = both(out, index(got, "d") ? "d" : "")
            if (MATCHES[chain, i] == "yes" && !index(got, "r")) return out
            continue
        }
        if (target == "d" && BY == "") BY = TEXTS[chain, i]
        out = both(out, target)
        if (MATCHES[chain, i] == "yes") return out
    }
    return both(out, "r")
}
function judge(i, got, verdict) {
    verdict = "accept"
    for (i = 1; i <= BASES; i++) {
        BY = ""
        got = walk(BASE[i], 0)
        if (index(got, "r")) {
            if (POLICY[BASE[i]] == "drop" && BY == "") BY = "the policy of " NAME[BASE[i]]
            got = both(got, POLICY[BASE[i]] == "drop" ? "d" : "a")
        }
        if (!index(got, "d")) continue
        if (!index(got, "a")) { print "drop " BY; return }
        if (verdict == "accept") verdict = "maybe " BY
    }
    print verdict
}
BEGIN {
    split(ENVIRON["PACKET"], field, "|")
    HOOK = field[1]; IIF = field[2]; OIF = field[3]; SOURCE = field[4]; TARGET = field[5]; PROTOCOL = field[6]; PORT = field[7]
}
'

# For iptables-save. tailscaled and Cilium put their own rules before all others there, so what comes from the tailnet and what is
# forwarded passes.
# shellcheck disable=SC2016
FILTER_AWK_IPTABLES='
function word_at(i) { return $i }
HOOK == "forward" || IIF == "tailscale0" { next }
/^\*/ { filter = $0 == "*filter"; next }
!filter { next }
/^:/ {
    chain = substr($1, 2); key = "filter" SUBSEP chain; TABLE_OF[key] = "filter"; RULES[key] += 0; KNOWN[chain] = 1
    if (chain == toupper(HOOK)) { BASE[++BASES] = key; POLICY[key] = $2 == "DROP" ? "drop" : "accept"; NAME[key] = "iptables chain " chain }
    next
}
$1 == "-A" {
    text = $0
    gsub(/"[^"]*"/, "x")
    MATCH = "yes"; target = ""; not = 0
    for (i = 3; i <= NF; i++) {
        key = $i
        if (key == "!") { not = 1; continue }
        if (key == "-m") { i++; continue }
        value = word_at(i + 1); is = "?"
        if (key == "-s") is = in_network(SOURCE, value)
        else if (key == "-d") is = in_network(TARGET, value)
        else if (key == "-i") is = in_interfaces(IIF, value)
        else if (key == "-o") is = in_interfaces(OIF, value)
        else if (key == "-p") is = value == PROTOCOL || value == "all" ? "yes" : "no"
        else if (key ~ /^--(dport|dports|ports)$/) is = among("port", PORT, value)
        else if (key ~ /^--(sport|sports)$/) is = among("port", 40000, value)
        else if (key ~ /^--(state|ctstate)$/) is = among("word", "new", value)
        else if (key == "--dst-type") is = value ~ /LOCAL/ && HOOK == "input" ? "yes" : "no"
        else if (key == "--src-type") is = value ~ /UNICAST/ ? "yes" : "no"
        else if (key == "--tcp-flags") { is = word_at(i + 2) == "SYN" ? "yes" : "no"; i++ }
        else if (key == "--icmp-type") is = "no"
        else if (key ~ /^--comment|^--limit-burst/) is = "yes"
        else if (key == "-j" || key == "-g") { target = value; goes = key == "-g" ? "goto " : "jump "; break }
        # What only the kernel can answer, such as a rate or a mark.
        if (is == "?") { while (i < NF && word_at(i + 1) !~ /^(-|!)/) i++; is = "maybe" } else i++
        also(not ? inverse(is) : is)
        not = 0
    }
    target = target == "ACCEPT" ? "a" : target ~ /^(DROP|REJECT)$/ ? "d" : target == "RETURN" ? "r" : target ~ /QUEUE$/ ? "ad" : \
        target in KNOWN ? goes target : ""
    add_rule("filter" SUBSEP $2, target, text)
}
END { judge() }
'

# For `nft list ruleset`. SKIP: the tables of iptables, where its own program has printed them.
# shellcheck disable=SC2016
FILTER_AWK_NFT='
function braces(text) { gsub(/"[^"]*"/, "", text); return gsub(/[{]/, "{", text) - gsub(/[}]/, "}", text) }
function target_of(word, next_word) {
    return word == "accept" ? "a" : word ~ /^(drop|reject)$/ ? "d" : word == "return" ? "r" : word == "queue" ? "ad" : \
        word ~ /^(jump|goto)$/ ? word " " next_word : ""
}
# The verdict that a map "{key:verdict,…}" has for the packet; nothing if none.
function mapped(kind, ours, map, count, item, i, at) {
    gsub(/^[{]|[}]$/, "", map)
    count = split(map, item, ",")
    for (i = 1; i <= count; i++) {
        at = index(item[i], ":")
        if (one(kind, ours, substr(item[i], 1, at - 1), table) == "yes") { at = substr(item[i], at + 1); sub(/^jump/, "jump ", at); sub(/^goto/, "goto ", at); return at ~ /^(jump|goto) / ? at : target_of(at, "") }
    }
    return ""
}
# One condition whose value is in word I: a value, a set or a map. Sets I to its last word.
function condition(kind, ours, not, is) {
    not = 0
    if (word[I] == "!=") { not = 1; I++ } else if (word[I] == "==") I++
    if (word[I] == "vmap") { I++; TARGET_FOUND = word[I] ~ /^@/ ? "ad" : mapped(kind, ours, word[I]); if (TARGET_FOUND == "") MATCH = "no"; return }
    is = among(kind, ours, word[I], table)
    also(not ? inverse(is) : is)
}
function read_rule(text, copy, count, w) {
    copy = text
    gsub(/ comment "[^"]*"/, "", copy)
    gsub(/prefix "[^"]*"/, "prefix x", copy)
    # A set is one word.
    while (match(copy, /[{][^}]*[}]/)) {
        w = substr(copy, RSTART + 1, RLENGTH - 2)
        gsub(/[ \t]/, "", w)
        copy = substr(copy, 1, RSTART - 1) "<" w ">" substr(copy, RSTART + RLENGTH)
    }
    gsub(/</, "{", copy); gsub(/>/, "}", copy)
    count = split(copy, word, /[ \t]+/)
    MATCH = "yes"; TARGET_FOUND = ""
    for (I = 1; I <= count && TARGET_FOUND == ""; I++) {
        w = word[I]
        if (w == "" || w == "meta" || w == "counter" || w == "log" || w == "with") continue
        if (w ~ /^(packets|bytes|prefix|level|group|flags)$/) { I++; continue }
        if (w == "iifname" || w == "iif") { I++; condition("interface", IIF) }
        else if (w == "oifname" || w == "oif") { I++; condition("interface", OIF) }
        else if (w == "ip6" || w == "icmpv6" || w == "icmp") MATCH = "no"
        else if (w == "nfproto") { I++; condition("word", "ipv4") }
        else if (w == "l4proto") { I++; condition("word", PROTOCOL) }
        else if (w == "ip" && word[I + 1] == "saddr") { I += 2; condition("address", SOURCE) }
        else if (w == "ip" && word[I + 1] == "daddr") { I += 2; condition("address", TARGET) }
        else if (w == "ip" && word[I + 1] == "protocol") { I += 2; condition("word", PROTOCOL) }
        else if (w ~ /^(tcp|udp|th)$/) {
            if (w != "th" && w != PROTOCOL) MATCH = "no"
            I += 2
            if (word[I - 1] == "dport") condition("port", PORT)
            else if (word[I - 1] == "sport") condition("port", 40000)
            else also("maybe")
        } else if (w == "ct" && word[I + 1] == "state") { I += 2; condition("word", "new") }
        else if (w == "ct" && word[I + 1] == "status") { I += 2; also("no") }
        else if (w == "fib" && word[I + 1] == "daddr" && word[I + 2] == "type") { I += 3; condition("word", HOOK == "input" ? "local" : "unicast") }
        else if ((TARGET_FOUND = target_of(w, word[I + 1])) == "") also("maybe")
    }
    add_rule(table SUBSEP chain, TARGET_FOUND, text)
}
{ sub(/^[ \t]+/, "") }
/^table / { table = $2 " " $3; family = $2; warned = SKIP && family == "ip" && $3 ~ /^(filter|nat|mangle|raw|security)$/; skip = warned || (family != "ip" && family != "inet"); next }
skip { next }
open != "" { open = open " " $0; if (braces(open) > 0) next; line = open; open = ""; if (line ~ /^elements/) { sub(/^elements = /, "", line); gsub(/ (timeout|expires|counter|comment) [^,}]*/, "", line); SETS[table, set] = line } else read_rule(line); next }
/^(set|map) / { set = $2; chain = ""; SETS[table, set] = ""; next }
/^chain / { chain = $2; TABLE_OF[table SUBSEP chain] = table; RULES[table SUBSEP chain] += 0; next }
/^type .* hook / {
    if ($2 == "filter" && $4 == HOOK) {
        BASE[++BASES] = table SUBSEP chain
        NAME[table SUBSEP chain] = "nftables chain " table " " chain
        POLICY[table SUBSEP chain] = $0 ~ /policy drop/ ? "drop" : "accept"
    }
    next
}
/^elements = / { if (braces($0) > 0) { open = $0; next } line = $0; sub(/^elements = /, "", line); gsub(/ (timeout|expires|counter|comment) [^,}]*/, "", line); SETS[table, set] = line; next }
/^}/ { chain = ""; next }
chain == "" { next }
{ if (braces($0) > 0) open = $0; else read_rule($0) }
END { judge() }
'

# packet_verdict PACKET: "accept", "drop RULE" or "maybe RULE". PACKET is "HOOK|IIF|OIF|SOURCE|TARGET|PROTOCOL|PORT".
packet_verdict() {
    local said=accept skip=''
    if [[ $FILTER_IPTABLES == *'*filter'* ]]; then
        skip=1
        said=$(PACKET=$1 awk "$FILTER_AWK$FILTER_AWK_IPTABLES" <<<"$FILTER_IPTABLES")
    fi
    if [ "$said" = accept ] && [[ $FILTER_NFT == *' hook '* ]]; then
        said=$(PACKET=$1 awk -v SKIP="$skip" "$FILTER_AWK$FILTER_AWK_NFT" <<<"$FILTER_NFT")
    fi
    # Without an answer nothing is known.
    printf '%s' "${said:-maybe (awk does not answer)}"
}

# judge_packets "WHAT=PACKET"...: to FILTER_DROPS, what the filter drops, to FILTER_UNSURE what it may drop, to FILTER_BY the first rule
# that does, and to FILTER_KIND whose rule that is: ufw, firewalld, iptables or nft.
judge_packets() {
    local packet said
    FILTER_DROPS='' FILTER_UNSURE='' FILTER_BY='' FILTER_KIND=''
    for packet in "$@"; do
        said=$(packet_verdict "${packet#*=}")
        case $said in
        accept) continue ;;
        drop\ *) FILTER_DROPS+="${FILTER_DROPS:+, }${packet%%=*}" ;;
        *) FILTER_UNSURE+="${FILTER_UNSURE:+, }${packet%%=*}" ;;
        esac
        FILTER_BY=${FILTER_BY:-$(tr -d '"$`\134' <<<"${said#* }" | tr -s ' ' | cut -c 1-120)}
    done
    case $FILTER_BY in
    '') ;;
    '-A '* | 'the policy of iptables chain'*) FILTER_KIND=iptables ;;
    *) FILTER_KIND=nft ;;
    esac
    [[ $FILTER_KIND != iptables || $FILTER_IPTABLES != *ufw-user-input* ]] || FILTER_KIND=ufw
    if [ -n "$FILTER_KIND" ] && { [[ $FILTER_NFT == *'table inet firewalld'* ]] || [[ $FILTER_IPTABLES == *INPUT_ZONES* ]]; }; then FILTER_KIND=firewalld; fi
}

# filter_cure UFW FIREWALLD IPTABLES NFT: the one of FILTER_KIND.
filter_cure() {
    case $FILTER_KIND in
    ufw) printf '%s' "$1" ;;
    firewalld) printf '%s' "$2" ;;
    iptables) printf '%s' "$3" ;;
    *) printf '%s' "$4" ;;
    esac
}

# interface_in NETWORK: the interface with an IPv4 address in a network; ? if none or several.
interface_in() {
    local found
    found=$(ip -o -4 addr show 2>/dev/null | NETWORK=$1 awk "$FILTER_AWK"'
        { split($4, address, "/"); if (in_network(address[1], ENVIRON["NETWORK"]) == "yes") print $2 }' | sort -u)
    [[ $found =~ ^[^[:space:]]+$ ]] || found='?'
    printf '%s' "$found"
}
