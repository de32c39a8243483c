# shellcheck shell=bash
# requires: lib/checks/flows lib/messages
# What the checks found, in words and as a matrix.
# Given: TK_NODES, TK_NODE_NETWORK, TK_POD_ROUTING, TK_TUNNEL_PORT, TK_UNDERLAY_MTU (bytes; of the interfaces that carry it).

# How many lines the error of a stage shows; the command shows all.
LINES_IN_ERROR=12
# Above this many nodes the matrix shows only rows and columns with failures, at most as many as fit a screen.
MATRIX_UP_TO=12
MATRIX_ROWS=40
MATRIX_COLUMNS=24

# advice KIND FROM TO: what to try.
advice() {
    case $1 in
    pod | tunnel) if [ "$TK_NODE_NETWORK-$TK_POD_ROUTING" = lan-native ]; then
        echo "are both on one network segment, and does its switch or hypervisor let addresses of pods through? 'ip route' on $2 shows the route to $3's pod CIDR; tailkube:network.podRouting vxlan does without"
    elif [ "$TK_POD_ROUTING" = native ]; then
        echo "is $3's pod CIDR approved as a route in the tailnet, and does the policy let the pod CIDR through? 'tailscale status' and 'ip route show table 52' on $2 show what it accepts"
    elif [ "$1" = tunnel ]; then
        echo "UDP $TK_TUNNEL_PORT is lost between $2 and $3: open it both ways in firewalls and security groups, or choose another port with tailkube:network.tunnelPort.$([ "$TK_NODE_NETWORK" != lan ] || echo " If it is open, try checksumOffload: false on both.") 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end"
    else
        echo "is UDP $TK_TUNNEL_PORT open between $2 and $3? 'cilium-dbg bpf tunnel list' in the agent on $2 shows the tunnel's end, tailkube:network.tunnelPort changes the port"
    fi ;;
    ping) echo "does 'ping 127.0.0.1' work on $2? It is in the package iputils-ping" ;;
    service) echo "'cilium-dbg service list' in the agent on $2 shows the service's backends" ;;
    dns | coredns) echo "'kubectl -n kube-system logs -l k8s-app=kube-dns'; a CoreDNS pod on another node is reached by the path between the nodes" ;;
    mtu | larger) if [ "$TK_NODE_NETWORK" = lan ]; then
        echo "do the interfaces of both nodes and all switches between them pass $TK_UNDERLAY_MTU bytes? Set what they do pass as the MTU of the nodes' interfaces"
    else
        echo "is tailscale0's MTU on both nodes what tailkube:tailnet.mtu says ('ip link show tailscale0')?"
    fi ;;
    esac
}

# label KIND: the word for it.
label() {
    case $1 in
    tunnel) echo pod ;;
    coredns) echo dns ;;
    larger) echo mtu ;;
    *) echo "$1" ;;
    esac
}

# failure_groups: failures of one kind that share a node, one group a line, as "KIND|FROM...|TO...|TRIED|DETAIL": the node with the most of them
# first, be it their target or their source. TRIED is how many paths of that kind were tried to it, or from it; DETAIL the first one's.
failure_groups() {
    awk '
        function class(kind) { return kind == "tunnel" ? "pod" : kind }
        { tried["to", class($2), $4]++; tried["from", class($2), $3]++ }
        $1 == "failed" {
            kind[++n] = $2; from[n] = $3; to[n] = $4
            $1 = $2 = $3 = $4 = ""; sub(/^ +/, ""); detail[n] = $0
        }
        function largest(of, i, count, best) {
            best = 0
            split("", count)
            for (i = 1; i <= n; i++) if (kind[i] == of && !(i in gone)) if (++count["to", to[i]] > best) { best = count["to", to[i]]; side = "to"; node = to[i] }
            for (i = 1; i <= n; i++) if (kind[i] == of && !(i in gone)) if (++count["from", from[i]] > best) { best = count["from", from[i]]; side = "from"; node = from[i] }
            return best
        }
        function group(of, i, others, first) {
            others = ""; first = 0
            for (i = 1; i <= n; i++) {
                if (kind[i] != of || i in gone || (side == "to" ? to[i] : from[i]) != node) continue
                if (!first) first = i
                others = others (others == "" ? "" : " ") (side == "to" ? from[i] : to[i])
                gone[i]
            }
            print of "|" (side == "to" ? others "|" node : node "|" others) "|" tried[side, class(of), node] "|" detail[first]
        }
        END {
            kinds = split("ping tunnel pod mtu larger coredns dns service", order, " ")
            for (k = 1; k <= kinds; k++) {
                while (largest(order[k]) > 1) group(order[k])
                for (i = 1; i <= n; i++) if (kind[i] == order[k] && !(i in gone)) print kind[i] "|" from[i] "|" to[i] "|1|" detail[i]
            }
        }' "$FINDINGS"
}

# some_of NAME...: five of them at most.
some_of() {
    local text=$1 name more=$(($# - 5))
    for name in "${@:2:4}"; do text+=", $name"; done
    [ "$more" -le 0 ] || text+=" and $more more"
    printf '%s' "$text"
}

# path_failures: a line for each group, with what to try.
path_failures() {
    local kind sources targets tried detail of from to
    while IFS='|' read -r kind sources targets tried detail; do
        read -ra from <<<"$sources"
        read -ra to <<<"$targets"
        of=$((${#from[@]} * ${#to[@]}))
        if [ "$of" = 1 ]; then of=; elif [ "$of" = "$tried" ]; then of=" (all $tried tried)"; else of=" ($of of $tried tried)"; fi
        learn_flow "$kind" "${from[0]}" "${to[0]}"
        printf '%s from %s to %s%s: %s; %s%s\n' "$(label "$kind")" "$(some_of "${from[@]}")" "$(some_of "${to[@]}")" "$of" "$detail" "$(advice "$kind" "${from[0]}" "${to[0]}")" "$FLOW"
    done < <(failure_groups)
}

# count_paths: in PATHS, how many were probed.
count_paths() { PATHS=$(awk '$2 != "ping" {n++} END {print n + 0}' "$FINDINGS"); }

# is_sample: not all pairs.
is_sample() { [ "$PAIRS" -lt $((NODES * (NODES - 1))) ]; }

# what_was_checked: with a sample, also what repeats it.
what_was_checked() {
    printf '%s nodes, %s of %s pairs%s, %s paths' "$NODES" "$PROBED" $((NODES * (NODES - 1))) "$(! is_sample || printf ' (seed %s)' "$SEED")" "$PATHS"
}

# error_text: for `fail`: what failed, as much as is readable, and how to see it again.
error_text() {
    local count=${#FAILURES[@]}
    printf '%s of the checks failed (%s):' "$count" "$(what_was_checked)"
    printf '\n  - %s' "${FAILURES[@]:0:LINES_IN_ERROR}"
    [ "$count" -le "$LINES_IN_ERROR" ] || printf '\n  - and %s more' "$((count - LINES_IN_ERROR))"
    printf "\n  '%s/checks%s', as root on %s, runs the same checks again and shows all" "$TK_LIB" "$(! is_sample || printf ' --seed %s' "$SEED")" "$TK_NODE"
}

# matrix: rows from, columns to. A letter for each kind that failed there.
matrix() {
    local node target
    {
        for node in $TK_NODES; do printf 'node %s\n' "${node%%=*}"; done
        for node in $RUNNING; do printf 'runs %s\n' "$node"; done
        for node in $ENDED; do printf 'ended %s\n' "$node"; done
        # shellcheck disable=SC2153  # checks/paths.sh sets it
        for node in "${!TARGETS[@]}"; do
            for target in ${TARGETS[$node]}; do printf 'pair %s %s\n' "$node" "$target"; done
        done
        cat "$FINDINGS"
    } | awk -v small="$MATRIX_UP_TO" -v most_rows="$MATRIX_ROWS" -v most_columns="$MATRIX_COLUMNS" '
        BEGIN {
            letter["pod"] = letter["tunnel"] = "p"; letter["service"] = "s"
            letter["dns"] = letter["coredns"] = "d"; letter["mtu"] = letter["larger"] = letter["ping"] = "m"
            letters = split("p s d m", order, " ")
        }
        $1 == "node" { name[++n] = $2; planned[$2, $2] }
        $1 == "runs" { runs[$2] }
        $1 == "ended" { ended[$2] }
        $1 == "pair" { planned[$2, $3] }
        $1 == "failed" && ($2 in letter) {
            bad[$3, $4, letter[$2]]
            bad_row[$3]; bad_column[$4]; failures++
        }
        function text(from, to, i, said) {
            for (i = 1; i <= letters; i++) if ((from, to, order[i]) in bad) said = said order[i]
            if (said != "") return said
            if (!((from, to) in planned)) return ""
            return (from in ended) && (to in runs) ? "." : "?"
        }
        END {
            for (i = 1; i <= n; i++) {
                if (n <= small || name[i] in bad_row) { if (rows < most_rows) row[++rows] = i; else left_rows++ }
                if (n <= small || name[i] in bad_column) { if (columns < most_columns) column[++columns] = i; else left_columns++ }
                if (length(name[i]) > wide) wide = length(name[i])
                if (!(name[i] in ended)) silent = silent (silent == "" ? "" : ", ") name[i]
            }
            if (n <= small || failures > 0) {
                printf "%-" (wide + 8) "s  to:", "from:"
                for (c = 1; c <= columns; c++) printf "%4d", column[c]
                print ""
                for (r = 1; r <= rows; r++) {
                    line = sprintf("%6d  %-" (wide + 0) "s     ", row[r], name[row[r]])
                    for (c = 1; c <= columns; c++) line = line sprintf("%4s", text(name[row[r]], name[column[c]]))
                    sub(/ +$/, "", line); print line
                }
                if (n > small) {
                    line = "to:"
                    for (c = 1; c <= columns; c++) line = line " " column[c] " " name[column[c]] (c < columns ? "," : "")
                    print line
                    print "Only nodes with failed paths are shown" (left_rows + left_columns > 0 ? ", and of those " left_rows + 0 " rows and " left_columns + 0 " columns are left out." : ".")
                }
                print ".  works   p  pod   s  service   d  DNS   m  MTU   ?  not probed   blank  not in the sample"
            }
            if (silent != "") print "no probe has run on: " silent
        }'
}

# print_report: for a person.
print_report() {
    local failure
    matrix
    printf '\n'
    for failure in "${FAILURES[@]}"; do printf '%s\n' "- $failure"; done
    [ ${#FAILURES[@]} = 0 ] || printf '\n'
    printf '%s: %s\n' "$(what_was_checked)" "$([ ${#FAILURES[@]} = 0 ] && echo "all is well" || echo "${#FAILURES[@]} of the checks failed")"
}

# print_json: for a program; every value but the failures is a string, as in the result of a stage.
print_json() {
    printf '{"nodes":"%s","pairs":"%s","paths":"%s","seed":"%s","failures":' "$NODES" "$PROBED" "$PATHS" "$SEED"
    json_list "${FAILURES[@]}"
    printf '}\n'
}
