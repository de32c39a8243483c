// Command pulumi-language-nodejs stands in for the Node.js language host that comes with the Pulumi CLI, which no registry serves as a
// module. It runs programs and policy packs as that does: by @pulumi/pulumi/cmd/run and cmd/run-policy-pack of their own node_modules.
//
// It lacks what tailkube does not use: `pulumi install`, code generation, templates, bun, debuggers, providers in TypeScript, the
// option tsconfig, and what a policy pack may ask of the stack's config. It looks for packages with plugins in the program's node_modules
// and its scopes, where the original also looks into the packages and into every other folder below the program's.
//
// How it was compared with the original: with that one's published source, call by call. tests/engine/ runs programs by whichever CLI
// is chosen, so that it says the same of a released one where there is one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

// serve answers at a port that it prints, until the engine is gone or ends it.
func serve() error {
	flag.String("tracing", "", "ignored")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	h := &host{engine: flag.Arg(0)}
	if h.engine != "" {
		if err := rpcutil.Healthcheck(ctx, h.engine, 5*time.Minute, cancel); err != nil {
			return err
		}
	}
	stop := make(chan bool)
	context.AfterFunc(ctx, func() { close(stop) })
	register := func(server *grpc.Server) error { pulumirpc.RegisterLanguageRuntimeServer(server, h); return nil }
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Cancel: stop, Init: register})
	if err != nil {
		return err
	}
	fmt.Println(handle.Port)
	return <-handle.Done
}

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine string
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

// The SDK's exit code for an error that it has shown already.
const exitedAfterShownError = 32

// Run runs the program to its end.
func (h *host) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	cmd, err := node(ctx, req.GetInfo(), "run")
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{
		"PULUMI_CONFIG":             maps.Collect(maps.All(req.GetConfig())),
		"PULUMI_CONFIG_SECRET_KEYS": append([]string{}, req.GetConfigSecretKeys()...),
	} {
		text, _ := json.Marshal(value)
		cmd.Env = append(cmd.Env, name+"="+string(text))
	}
	cmd.Args = append(cmd.Args, "--monitor", req.GetMonitorAddress(), "--engine", h.engine,
		"--organization", req.GetOrganization(), "--project", req.GetProject(), "--stack", req.GetStack(),
		"--root-directory", req.GetInfo().GetRootDirectory(), "--pwd", req.GetPwd(), "--parallel", fmt.Sprint(req.GetParallel()))
	if req.GetDryRun() {
		cmd.Args = append(cmd.Args, "--dry-run")
	}
	cmd.Args = append(append(cmd.Args, req.GetInfo().GetEntryPoint()), req.GetArgs()...)
	cmd.Dir = req.GetPwd()
	// Wrapped, so that Node.js gets pipes: it sets what it is given to non-blocking, and that would be ours.
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{os.Stdout}, struct{ io.Writer }{os.Stderr}
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitedAfterShownError:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program exited with non-zero exit code: %d", exit.ExitCode())}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program exited unexpectedly: %v", err)}, nil
	}
}

// RunPlugin runs a policy pack, and passes on what it says.
func (h *host) RunPlugin(req *pulumirpc.RunPluginRequest, to grpc.ServerStreamingServer[pulumirpc.RunPluginResponse]) error {
	if req.GetKind() != "analyzer" {
		return fmt.Errorf("this stand-in for the Node.js language host runs policy packs, no plugin of kind %q", req.GetKind())
	}
	cmd, err := node(to.Context(), req.GetInfo(), "run-policy-pack")
	if err != nil {
		return err
	}
	cmd.Args = append(append(cmd.Args, req.GetArgs()...), req.GetInfo().GetProgramDirectory())
	cmd.Env = append(cmd.Env, req.GetEnv()...)
	cmd.Dir = req.GetInfo().GetProgramDirectory()
	var lock sync.Mutex
	send := func(response *pulumirpc.RunPluginResponse) error {
		lock.Lock()
		defer lock.Unlock()
		return to.Send(response)
	}
	cmd.Stdout = sender(func(text []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: text}})
	})
	cmd.Stderr = sender(func(text []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stderr{Stderr: text}})
	})
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	code := int32(cmd.ProcessState.ExitCode())
	return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: code}})
}

// sender hands on what is written.
type sender func([]byte) error

func (s sender) Write(text []byte) (int, error) { return len(text), s(text) }

// node prepares a command of the program's own SDK, with the options that its Pulumi.yaml has.
func node(ctx context.Context, info *pulumirpc.ProgramInfo, command string) (*exec.Cmd, error) {
	path, err := find(info.GetProgramDirectory(), "@pulumi/pulumi/cmd/"+command)
	if err != nil {
		return nil, err
	}
	options := info.GetOptions().AsMap()
	args, _ := options["nodeargs"].(string)
	cmd := exec.CommandContext(ctx, "node", append(strings.Fields(args), path)...)
	cmd.Env = os.Environ()
	if typescript, ok := options["typescript"].(bool); !ok || typescript {
		cmd.Env = append(cmd.Env, "PULUMI_NODEJS_TYPESCRIPT=true")
	}
	return cmd, nil
}

// find looks for a file of a package as Node.js does: in the node_modules of a folder and of those above it.
func find(from, name string) (string, error) {
	for folder := from; ; folder = filepath.Dir(folder) {
		path := filepath.Join(folder, "node_modules", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("it looks like the SDK is not installed: no %s in %s or above it. Run npm ci", name, from)
		}
	}
}

// GetRequiredPackages names the plugins of all packages that are installed in the program's own folder, and not in those above it.
func (h *host) GetRequiredPackages(
	_ context.Context, req *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	response := &pulumirpc.GetRequiredPackagesResponse{}
	modules := filepath.Join(req.GetInfo().GetProgramDirectory(), "node_modules")
	folders, _ := filepath.Glob(filepath.Join(modules, "*", "package.json"))
	scoped, _ := filepath.Glob(filepath.Join(modules, "@*", "*", "package.json"))
	for _, path := range append(folders, scoped...) {
		var found struct {
			Name, Version string
			Pulumi        struct {
				Resource              bool
				Name, Version, Server string
			}
		}
		text, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(text, &found) != nil || !found.Pulumi.Resource {
			continue
		}
		name, version := found.Pulumi.Name, found.Pulumi.Version
		if name == "" {
			name = strings.TrimPrefix(strings.TrimPrefix(found.Name, "@pulumi/"), "@")
		}
		if version == "" {
			version = found.Version
		}
		response.Packages = append(response.Packages, &pulumirpc.PackageDependency{
			Name: name, Kind: "resource", Version: "v" + strings.TrimPrefix(version, "v"), Server: found.Pulumi.Server,
		})
	}
	return response, nil
}

// About is what `pulumi about` shows.
func (h *host) About(ctx context.Context, _ *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{Executable: "node", Version: strings.TrimSpace(string(version))}, nil
}
