# shellcheck shell=bash
# What the watches have in common that withdraw a route while this host cannot serve it: installed/endpoint-watch.sh and
# installed/load-balancer-watch.sh, before which it stands as one file.
# Given by them: the functions up and down, watched (their name in the log), state (unknown, up or down), withdrawn (when the route
# was withdrawn, in seconds of the shell's clock) and last (what was said last; empty at first).
# shellcheck disable=SC2154

# Looks in a row that must succeed before the route comes back; doubled for each withdrawal of the last $memory seconds, so that
# what comes and goes does not drag the route along.
calm_least=3
calm_most=60
memory=300

# calm: prints how many looks must succeed before the route comes back.
calm() {
    local at recent=0 looks=$calm_least
    for at in "${withdrawn[@]}"; do
        if [ $((SECONDS - at)) -lt "$memory" ]; then recent=$((recent + 1)); fi
    done
    while [ "$recent" -gt 1 ] && [ "$looks" -lt "$calm_most" ]; do
        looks=$((looks * 2)) recent=$((recent - 1))
    done
    echo $((looks < calm_most ? looks : calm_most))
}

# say WHAT: once, not with each look.
say() {
    if [ "$1" != "$last" ]; then echo "$watched $1"; fi
    last=$1
}

# enter up|down WHY: the state is the new one only when all of it was done; else the next look tries again.
enter() {
    local said="$1: $2"
    if "$1"; then
        if [ "$state" = up ] && [ "$1" = down ]; then withdrawn+=("$SECONDS"); fi
        state=$1
    else
        said="$said; but it could not be done, trying on"
    fi
    say "$said"
}
