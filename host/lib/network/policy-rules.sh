# shellcheck shell=bash
# Our policy rules on this host: installed/network.sh keeps them, and the cleanup removes them.

# families: the IP versions that have policy rules here.
families() { if [ -e /proc/net/if_inet6 ]; then echo -4 -6; else echo -4; fi; }

# policy_rules FAMILY: the rules at our preferences that lead to the same tables as ours, one per line, as `ip rule show` prints
# them, with single blanks. Other rules there are the user's. Fails without an answer.
policy_rules() {
    local text
    text=$(ip "$1" rule show) || return
    tr -s '\t ' ' ' <<<"$text" | sed -nE 's/ proto [^ ]+//; s/ +$//; /^(5180|520[0-5]): .*lookup (52|main suppress_prefixlength [0-9]+)$/p'
}

# add_policy_rule, remove_policy_rule FAMILY RULE: a rule as policy_rules prints it.
# shellcheck disable=SC2086  # words of a rule
add_policy_rule() { ip "$1" rule add pref "${2%%:*}" ${2#*:}; }
# shellcheck disable=SC2086  # words of a rule
remove_policy_rule() { ip "$1" rule del pref "${2%%:*}" ${2#*:}; }
