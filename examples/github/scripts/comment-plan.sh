#!/bin/bash
# Puts the plan into a comment on the pull request: one for each stack, edited in place.
# Given: TAILKUBE_PLAN_FILE (Markdown; missing if the preview came to nothing), STACK, PULL_REQUEST (its number), and
# GITHUB_REPOSITORY, GITHUB_SERVER_URL, GITHUB_RUN_ID, GH_TOKEN as GitHub has them.
set -euo pipefail

marker="<!-- tailkube plan of $STACK -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{
    printf '%s\n' "$marker"
    if [ -s "$TAILKUBE_PLAN_FILE" ]; then
        # GitHub takes 65536 characters; a character may be several bytes, so that this is at most as many.
        head -c 60000 "$TAILKUBE_PLAN_FILE" | iconv -c -f UTF-8 -t UTF-8
        [ "$(wc -c <"$TAILKUBE_PLAN_FILE")" -le 60000 ] || printf '\n\n… cut here.\n'
    else
        printf '### No plan\n\nThe preview ended before it had one.\n'
    fi
    printf '\nStack %s, [the whole preview](%s/%s/actions/runs/%s)\n' "$STACK" "$GITHUB_SERVER_URL" "$GITHUB_REPOSITORY" "$GITHUB_RUN_ID"
} >"$body"

# Only what begins with the marker and was written by a bot: others may quote it.
id=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments?per_page=100" \
    --jq '.[] | select(.user.type == "Bot") | [.id, (.body | split("\n")[0] | rtrimstr("\r"))] | @tsv' |
    awk -F '\t' -v marker="$marker" '$2 == marker && !found {print $1; found = 1}')
if [ -n "$id" ]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" -F "body=@$body"
else
    gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" -F "body=@$body"
fi
