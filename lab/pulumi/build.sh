# shellcheck shell=bash
# Builds the engine from Go modules, once for each version and recipe: the CLI takes some 5 minutes of CPU, the kubernetes provider
# 10, and seconds where Go's own cache has them. Sourced by choose.
# shellcheck disable=SC2034,SC2154  # `here` is set there, and the engine_… variables are read there

# build_item NAME VERSION COMMAND INPUT...: runs COMMAND in a scratch folder, with the folder to fill as its argument, unless what it
# makes of this version and these files is there. Sets `item` to the result's path.
build_item() {
    local name=$1 version=$2 command=$3 key scratch status start=$SECONDS
    shift 3
    key=$( (printf '%s\n' "$version" && declare -f "$command" && cat /dev/null "$@") | sha256sum | cut -c1-12)
    item=$cache/$name-$version-$key
    [ ! -d "$item" ] || return 0
    command -v go >/dev/null || fail "the $name is built with Go, and there is no go in PATH. Install Go 1.26.6 or newer, or the Pulumi CLI"
    mkdir -p "$cache"
    exec {lock}>"$cache/.lock"
    flock --nonblock "$lock" || { echo "engine: waiting for another build to end" >&2 && flock "$lock"; }
    if [ ! -d "$item" ]; then
        echo "engine: building the $name $version, once" >&2
        scratch=$cache/.tmp
        rm -rf "$scratch"
        mkdir -p "$scratch"/{work,out}
        # Not in a condition: that would keep `set -e` from ending the recipe at its first error.
        set +e
        (set -e && cd "$scratch/work" && "$command" "$scratch/out") >"$cache/$name.log" 2>&1
        status=$?
        set -e
        ((status == 0)) || {
            tail -n 20 "$cache/$name.log" >&2
            fail "the $name could not be built; all of the output is in $cache/$name.log"
        }
        mv "$scratch/out" "$item"
        rm -rf "$scratch"
        echo "engine: built in $((SECONDS - start)) s" >&2
    fi
    exec {lock}>&-
}

build_cli() (
    set -e
    # shellcheck source=lab/artifacts/lib/go.sh
    . "$here/../artifacts/lib/go.sh"
    start_module "github.com/pulumi/pulumi/pkg/v3@v$PULUMI_VERSION" "github.com/pulumi/pulumi/sdk/v3@v$PULUMI_VERSION"
    go build -trimpath -ldflags "$(strip_and_set "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$PULUMI_VERSION")" \
        -o "$1/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
)

# As the provider's own main does, with the schema of the SDK that the program uses.
build_kubernetes() (
    set -e
    # shellcheck source=lab/artifacts/lib/go.sh
    . "$here/../artifacts/lib/go.sh"
    module=github.com/pulumi/pulumi-kubernetes/provider/v4
    source=$(module_info Dir "$module@v$KUBERNETES_PROVIDER_MODULE_VERSION")/cmd/pulumi-resource-kubernetes
    start_module "$module@v$KUBERNETES_PROVIDER_MODULE_VERSION"
    # shellcheck disable=SC2016  # the program is Node.js
    node -e '
        const [source, version] = process.argv.slice(1);
        const schema = { ...JSON.parse(require("fs").readFileSync(`${source}/schema.json`, "utf8")), version };
        require("fs").writeFileSync("schema.json", JSON.stringify(schema));
    ' "$source" "$kubernetes_version"
    cp "$source/terraform-mapping.json" .
    printf '%s\n' 'package main' 'import (' '_ "embed"' "\"$module/pkg/provider\"" ')' \
        '//go:embed schema.json' 'var schema []byte' '//go:embed terraform-mapping.json' 'var mapping []byte' \
        "func main() { provider.Serve(\"kubernetes\", \"$kubernetes_version\", schema, mapping) }" >main.go
    go build -trimpath -ldflags "$(strip_and_set)" -o "$1/pulumi-resource-kubernetes" .
)

build_standins() {
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -C "$here" -trimpath -ldflags='-s -w' -o "$1/" ./...
}

# build_engine CACHE KUBERNETES_VERSION COMMAND_VERSION: sets engine_cli and engine_home. What the CLI comes with lies beside it, the
# plugins where it looks for them.
build_engine() {
    local cache=$1 kubernetes_version=$2 command_version=$3 item cli kubernetes standins name
    build_item cli "$PULUMI_VERSION" build_cli
    cli=$item
    build_item kubernetes-provider "$kubernetes_version" build_kubernetes "$here/versions.env"
    kubernetes=$item
    build_item stand-ins "$command_version" build_standins "$here"/go.{mod,sum} "$here"/pulumi-*/*.go
    standins=$item
    name=$(printf '%s\n' "$cli" "$kubernetes" "$standins" | sha256sum | cut -c1-12)
    local engine=$cache/engine-$name
    if [ ! -d "$engine" ]; then
        rm -rf "$engine.$$"
        mkdir -p "$engine.$$"/{bin,home/plugins/resource-{"kubernetes-v$kubernetes_version","command-v$command_version"}}
        ln "$cli/pulumi" "$standins/pulumi-language-nodejs" "$engine.$$/bin/"
        ln "$kubernetes"/* "$engine.$$/home/plugins/resource-kubernetes-v$kubernetes_version/"
        ln "$standins/pulumi-resource-command" "$engine.$$/home/plugins/resource-command-v$command_version/"
        mv -T "$engine.$$" "$engine" 2>/dev/null || rm -rf "$engine.$$"
    fi
    engine_cli=$engine/bin/pulumi engine_home=$engine/home
}
