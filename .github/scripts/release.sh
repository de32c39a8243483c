#!/bin/bash
# Publishes the package and makes the release on GitHub, each unless it is there already: a run that failed is run again.
# Given: GITHUB_REF_NAME (the tag), GITHUB_REPOSITORY, GITHUB_SERVER_URL, GH_TOKEN and NODE_AUTH_TOKEN. --notes: only prints the
# release's notes.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    printf 'release: %s\n' "$*" >&2
    exit 1
}

package=$(jq -r .name package.json) version=$(jq -r .version package.json)
tag=${GITHUB_REF_NAME:?}
[ "$tag" = "v$version" ] || fail "the tag is $tag, and package.json has version $version. Tag v$version, or set the version"
# The section of this version, without its heading.
notes=$(awk -v heading="## [$version] - " '/^## / {inside = index($0, heading) == 1; next} inside' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || fail "CHANGELOG.md has no section \"## [$version] - YYYY-MM-DD\". Rename [Unreleased] to it"
if [ "${1:-}" = --notes ]; then
    printf '%s\n' "$notes"
    exit
fi

# published: whether the registry has this version. It says so, or that it has not; any other answer is none.
published() {
    local answer
    answer=$(npm view "$package@$version" version --json 2>/dev/null) || {
        [ "$(jq -r '.error.code' <<<"$answer" 2>/dev/null)" = E404 ] || fail "the registry does not say whether it has $package $version: $answer"
        return 1
    }
    # Of a package without this version npm says nothing.
    [ -n "$answer" ]
}

if published; then
    echo "release: the registry has $package $version already"
else
    # The provenance is of this repository.
    npm pkg set "repository.type=git" "repository.url=git+$GITHUB_SERVER_URL/$GITHUB_REPOSITORY.git"
    npm run package
    npm publish ./dist --provenance --access public
fi

releases=$(gh api --paginate "repos/$GITHUB_REPOSITORY/releases" --jq '.[].tag_name')
if grep -qxF -- "$tag" <<<"$releases"; then
    echo "release: GitHub has $tag already"
else
    gh release create "$tag" --repo "$GITHUB_REPOSITORY" --verify-tag --title "$tag" --notes "$notes"
fi
