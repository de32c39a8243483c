// Command pulumi-resource-command stands in for the provider plugin of @pulumi/command 1.2.1, which no registry serves as a module.
//
// It has the two resources that tailkube uses, local.Command and remote.Command. It lacks CopyToRemote, CopyFile, local.run,
// assetPaths, archivePaths, a connection's proxy and keyboard-interactive logins, and refuses inputs that it lacks.
//
// How it was compared with the original: side by side with the sources of the provider at v1.2.1 and of pulumi-go-provider v1.3.0,
// which answers its checks, diffs and previews. tests/engine/command.test.ts asks a provider by gRPC, as the engine does; with
// TAILKUBE_COMMAND_PROVIDER it asks the original. It differs on purpose in one thing: a line of output of more than 64 KiB ends the
// original's logging and leaves the command waiting for ever.
package main

import (
	"context"
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/mapper"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

func main() {
	err := provider.Main("command", func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		ctx, cancel := context.WithCancel(context.Background())
		return plugin.NewProviderServer(&commands{host: host, stopped: ctx, stop: cancel}), nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

const (
	localType  = "command:local:Command"
	remoteType = "command:remote:Command"
)

// commands answers the engine. What it knows of a resource is what the engine sends with each request.
type commands struct {
	plugin.UnimplementedProvider
	host    *provider.HostClient
	stopped context.Context
	stop    context.CancelFunc
}

func (c *commands) Handshake(context.Context, plugin.ProviderHandshakeRequest) (*plugin.ProviderHandshakeResponse, error) {
	return &plugin.ProviderHandshakeResponse{AcceptSecrets: true, AcceptResources: true}, nil
}

func (c *commands) GetPluginInfo(context.Context) (plugin.PluginInfo, error) {
	version := semver.MustParse("1.2.1")
	return plugin.PluginInfo{Version: &version}, nil
}

func (c *commands) DiffConfig(context.Context, plugin.DiffConfigRequest) (plugin.DiffConfigResponse, error) {
	return plugin.DiffResult{Changes: plugin.DiffNone}, nil
}

func (c *commands) Configure(context.Context, plugin.ConfigureRequest) (plugin.ConfigureResponse, error) {
	return plugin.ConfigureResponse{}, nil
}

// SignalCancellation ends what runs: a local command is killed, a connection is no longer dialled.
func (c *commands) SignalCancellation(context.Context) error {
	c.stop()
	return nil
}

func (c *commands) Close() error { return nil }

// properties are a command's inputs, and what it said last.
type properties struct {
	Create         *string           `pulumi:"create,optional"`
	Update         *string           `pulumi:"update,optional"`
	Delete         *string           `pulumi:"delete,optional"`
	Triggers       []any             `pulumi:"triggers,optional"`
	Stdin          string            `pulumi:"stdin,optional"`
	Logging        *string           `pulumi:"logging,optional"`
	Environment    map[string]string `pulumi:"environment,optional"`
	PreviousOutput *bool             `pulumi:"addPreviousOutputInEnv,optional"`
	Interpreter    []string          `pulumi:"interpreter,optional"`
	Dir            string            `pulumi:"dir,optional"`
	Connection     *connection       `pulumi:"connection,optional"`
	Stdout         string            `pulumi:"stdout,optional"`
	Stderr         string            `pulumi:"stderr,optional"`
}

// connection says how to reach a host.
type connection struct {
	Host               string  `pulumi:"host"`
	User               string  `pulumi:"user"`
	Port               float64 `pulumi:"port"`
	DialErrorLimit     int     `pulumi:"dialErrorLimit"`
	PerDialTimeout     int     `pulumi:"perDialTimeout"`
	Password           *string `pulumi:"password,optional"`
	PrivateKey         *string `pulumi:"privateKey,optional"`
	PrivateKeyPassword *string `pulumi:"privateKeyPassword,optional"`
	HostKey            *string `pulumi:"hostKey,optional"`
	AgentSocketPath    *string `pulumi:"agentSocketPath,optional"`
}

// decode reads properties in which nothing is unknown.
func decode(from resource.PropertyMap) (*properties, mapper.MappingError) {
	to := &properties{}
	return to, mapper.New(&mapper.Opts{}).Decode(from.MapRepl(nil, unmark), to)
}

func unmark(value resource.PropertyValue) (any, bool) {
	if !value.IsSecret() {
		return nil, false
	}
	return value.SecretValue().Element.MapRepl(nil, unmark), true
}

// Check drops nulls, refuses what it does not know, and fills in and hides what belongs to a connection.
func (c *commands) Check(_ context.Context, req plugin.CheckRequest) (plugin.CheckResponse, error) {
	checked := maps.Clone(req.News)
	maps.DeleteFunc(checked, func(_ resource.PropertyKey, value resource.PropertyValue) bool { return value.IsNull() })
	if req.Type == remoteType {
		checked["connection"] = complete(checked["connection"])
	} else if req.Type != localType {
		return plugin.CheckResponse{}, fmt.Errorf("this stand-in for the command provider has no resource %s", req.Type)
	}
	response := plugin.CheckResponse{Properties: checked}
	if _, err := decode(checked); err != nil && !checked.ContainsUnknowns() {
		for _, failure := range err.Failures() {
			response.Failures = append(response.Failures, plugin.CheckFailure{Reason: failure.Error()})
		}
	}
	return response, nil
}

// complete fills in a connection's defaults and marks secrets, the connection as a whole among them.
func complete(connection resource.PropertyValue) resource.PropertyValue {
	for connection.IsSecret() {
		connection = connection.SecretValue().Element
	}
	if connection.IsComputed() {
		return resource.MakeSecret(connection)
	}
	members := resource.PropertyMap{
		"port": resource.NewProperty(22.0), "user": resource.NewProperty("root"),
		"dialErrorLimit": resource.NewProperty(10.0), "perDialTimeout": resource.NewProperty(15.0),
	}
	given, _ := connection.V.(resource.PropertyMap)
	for key, value := range given {
		if slices.Contains([]resource.PropertyKey{"password", "privateKey", "privateKeyPassword"}, key) && !value.IsSecret() {
			value = resource.MakeSecret(value)
		}
		members[key] = value
	}
	return resource.MakeSecret(resource.NewProperty(members))
}

// Diff compares inputs. A change of all of `triggers` replaces; that a change of one of them does, the SDK declares.
func (c *commands) Diff(_ context.Context, req plugin.DiffRequest) (plugin.DiffResponse, error) {
	news := heeding(req.IgnoreChanges, req.OldOutputs, req.NewInputs)
	difference := req.OldInputs.Diff(news)
	if difference == nil {
		return plugin.DiffResult{Changes: plugin.DiffNone}, nil
	}
	result := plugin.DiffResult{Changes: plugin.DiffSome, DetailedDiff: plugin.NewDetailedDiffFromObjectDiff(difference, false)}
	if change, ok := result.DetailedDiff["triggers"]; ok {
		change.Kind = change.Kind.AsReplace()
		result.DetailedDiff["triggers"] = change
	}
	return result, nil
}

// heeding gives inputs the values that the state has for ignored ones. Paths into an input are the engine's business.
func heeding(ignored []string, state, inputs resource.PropertyMap) resource.PropertyMap {
	news := maps.Clone(inputs)
	for _, key := range ignored {
		if old, ok := state[resource.PropertyKey(key)]; ok {
			news[resource.PropertyKey(key)] = old
		}
	}
	return news
}

func (c *commands) Create(ctx context.Context, req plugin.CreateRequest) (plugin.CreateResponse, error) {
	id, _ := resource.NewUniqueHexID(req.URN.Name(), 8, 0)
	nothing := resource.NewProperty("")
	if req.Preview {
		nothing = resource.MakeComputed(nothing)
		return plugin.CreateResponse{ID: id, Properties: with(req.Properties, nothing, nothing)}, nil
	}
	commands := func(p *properties) []*string { return []*string{p.Create} }
	state, err := c.perform(ctx, req.URN, req.Type, with(req.Properties, nothing, nothing), commands)
	return plugin.CreateResponse{ID: id, Properties: state}, err
}

func (c *commands) Update(ctx context.Context, req plugin.UpdateRequest) (plugin.UpdateResponse, error) {
	inputs := heeding(req.IgnoreChanges, req.OldOutputs, req.NewInputs)
	stdout, stderr := req.OldOutputs["stdout"], req.OldOutputs["stderr"]
	if req.Preview && changes(req.OldOutputs, inputs) {
		stdout, stderr = resource.MakeComputed(stdout), resource.MakeComputed(stderr)
	}
	state := with(inputs, stdout, stderr)
	if req.Preview {
		return plugin.UpdateResponse{Properties: state}, nil
	}
	commands := func(p *properties) []*string { return []*string{p.Update, p.Create} }
	state, err := c.perform(ctx, req.URN, req.Type, state, commands)
	return plugin.UpdateResponse{Properties: state}, err
}

// changes says whether an update may change what the command said: an input is unknown, or one that the state has is another or
// gone. An input that comes on top is no change to the original.
func changes(state, inputs resource.PropertyMap) bool {
	for key, old := range state {
		if value, stays := inputs[key]; key != "stdout" && key != "stderr" && (!stays || !value.DeepEquals(old)) {
			return true
		}
	}
	return inputs.ContainsUnknowns()
}

func (c *commands) Delete(ctx context.Context, req plugin.DeleteRequest) (plugin.DeleteResponse, error) {
	_, err := c.perform(ctx, req.URN, req.Type, req.Outputs, func(p *properties) []*string { return []*string{p.Delete} })
	return plugin.DeleteResponse{}, err
}

// Read believes the state.
func (c *commands) Read(_ context.Context, req plugin.ReadRequest) (plugin.ReadResponse, error) {
	return plugin.ReadResponse{ReadResult: plugin.ReadResult{ID: req.ID, Inputs: req.Inputs, Outputs: req.State}}, nil
}

// perform runs the first of the commands that is there, and returns the state with what it said.
func (c *commands) perform(
	ctx context.Context, urn resource.URN, kind tokens.Type, state resource.PropertyMap, choose func(*properties) []*string,
) (resource.PropertyMap, error) {
	given, err := decode(state)
	if err != nil {
		return state, err
	}
	choices := choose(given)
	at := slices.IndexFunc(choices, func(command *string) bool { return command != nil })
	if at < 0 {
		return state, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.stopped, cancel)()
	run := &run{properties: given, command: *choices[at], urn: urn, host: c.host}
	perform := run.locally
	if kind == remoteType {
		perform = run.remotely
	}
	if err := perform(ctx); err != nil {
		return state, err
	}
	said := func(text string) resource.PropertyValue { return resource.NewProperty(strings.TrimSuffix(text, "\n")) }
	return with(state, said(run.stdout.String()), said(run.stderr.String())), nil
}

func with(inputs resource.PropertyMap, stdout, stderr resource.PropertyValue) resource.PropertyMap {
	state := maps.Clone(inputs)
	state["stdout"], state["stderr"] = stdout, stderr
	return state
}
