package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/retry"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// run is one run of a command, and what it has said so far.
type run struct {
	*properties
	command              string
	urn                  resource.URN
	host                 *provider.HostClient
	lock                 sync.Mutex
	stdout, stderr, both bytes.Buffer
}

func (r *run) show(severity diag.Severity, line string) {
	_ = r.host.LogStatus(context.Background(), severity, r.urn, line)
}

// stream keeps what a command says on one of its outputs, and shows its lines if `logging` names it.
type stream struct {
	*run
	kept  *bytes.Buffer
	shown bool
	rest  string
}

func (s *stream) Write(chunk []byte) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.kept.Write(chunk)
	s.both.Write(chunk)
	lines := strings.Split(s.rest+string(chunk), "\n")
	s.rest = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		if s.shown {
			s.show(diag.Info, line)
		}
	}
	return len(chunk), nil
}

// said runs the command by a function that gets its outputs, and completes its error.
func (r *run) said(perform func(stdout, stderr *stream) error) error {
	shows := func(name string) bool {
		return r.Logging == nil || *r.Logging == name || *r.Logging == "stdoutAndStderr"
	}
	stdout := &stream{run: r, kept: &r.stdout, shown: shows("stdout")}
	stderr := &stream{run: r, kept: &r.stderr, shown: shows("stderr")}
	err := perform(stdout, stderr)
	for _, s := range []*stream{stdout, stderr} {
		if s.shown && s.rest != "" {
			r.show(diag.Info, s.rest)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, r.command, r.both.String())
	}
	return nil
}

// previous is what the command said last, as variables.
func (r *run) previous() map[string]string {
	variables := map[string]string{"PULUMI_COMMAND_STDOUT": r.Stdout, "PULUMI_COMMAND_STDERR": r.Stderr}
	maps.DeleteFunc(variables, func(_, value string) bool {
		return value == "" || (r.PreviousOutput != nil && !*r.PreviousOutput)
	})
	return variables
}

// locally runs the command in the program's folder. To stop it kills the interpreter, not what that has started.
func (r *run) locally(ctx context.Context) error {
	args := r.Interpreter
	if len(args) == 0 {
		args = []string{"/bin/sh", "-c"}
	}
	cmd := exec.CommandContext(ctx, args[0], append(args[1:len(args):len(args)], r.command)...)
	cmd.Dir = r.Dir
	cmd.Env = os.Environ()
	for name, value := range r.Environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	for name, value := range r.previous() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if r.Stdin != "" {
		cmd.Stdin = strings.NewReader(r.Stdin)
	}
	return r.said(func(stdout, stderr *stream) error {
		cmd.Stdout, cmd.Stderr = stdout, stderr
		return cmd.Run()
	})
}

// remotely runs the command in a session of a connection of its own. Stopping ends the dialling, not what runs.
func (r *run) remotely(ctx context.Context) error {
	client, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	for name, value := range r.Environment {
		if err := session.Setenv(name, value); err != nil {
			return fmt.Errorf("could not set environment variable %q, which the server has to accept (AcceptEnv): %w", name, err)
		}
	}
	for name, value := range r.previous() {
		if err := session.Setenv(name, value); err != nil {
			r.show(diag.Warning, fmt.Sprintf("unable to set %s: the server does not accept it (AcceptEnv)", name))
		}
	}
	if r.Stdin != "" {
		session.Stdin = strings.NewReader(r.Stdin)
	}
	return r.said(func(stdout, stderr *stream) error {
		session.Stdout, session.Stderr = stdout, stderr
		return session.Run(r.command)
	})
}

// dial connects until the limit of failed attempts is passed; with -1 for ever.
func (r *run) dial(ctx context.Context) (*ssh.Client, error) {
	config, err := r.Connection.config()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(r.Connection.Host, strconv.Itoa(int(r.Connection.Port)))
	limit := strings.Replace(strconv.Itoa(r.Connection.DialErrorLimit), "-1", "inf", 1)
	ok, client, err := retry.Until(ctx, retry.Acceptor{Accept: func(try int, _ time.Duration) (bool, any, error) {
		client, err := ssh.Dial("tcp", address, config)
		if err == nil {
			return true, client, nil
		}
		if limit != "inf" && try+1 > r.Connection.DialErrorLimit {
			return true, nil, fmt.Errorf("after %d failed attempts: %w", try, err)
		}
		r.show(diag.Info, fmt.Sprintf("Dial %d/%s failed: retrying", try+1, limit))
		return false, nil, nil
	}})
	if err == nil && !ok {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return client.(*ssh.Client), nil
}

// config says how to log in, and which host key is believed: any, if none is pinned.
func (c *connection) config() (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{
		User: c.User, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Duration(c.PerDialTimeout) * time.Second,
	}
	if c.HostKey != nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*c.HostKey))
		if err != nil {
			return nil, fmt.Errorf("failed to parse host key: %w", err)
		}
		config.HostKeyCallback, config.HostKeyAlgorithms = ssh.FixedHostKey(key), []string{key.Type()}
	}
	if c.PrivateKey != nil {
		signer, err := ssh.ParsePrivateKey([]byte(*c.PrivateKey))
		if c.PrivateKeyPassword != nil {
			signer, err = ssh.ParsePrivateKeyWithPassphrase([]byte(*c.PrivateKey), []byte(*c.PrivateKeyPassword))
		}
		if err != nil {
			return nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if c.Password != nil {
		config.Auth = append(config.Auth, ssh.Password(*c.Password))
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if c.AgentSocketPath != nil {
		socket = *c.AgentSocketPath
	}
	if socket != "" {
		agents, err := net.Dial("unix", socket)
		if err != nil {
			return nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(agents).Signers))
	}
	return config, nil
}
