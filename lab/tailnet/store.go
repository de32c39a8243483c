package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// A state is all that outlives the server.
type state struct {
	ControlKey     key.MachinePrivate // clients refuse a server whose key has changed until they are restarted
	LastID         tailcfg.NodeID
	LastAdvertised int64
	Devices        []*device
	Primaries      map[netip.Prefix]tailcfg.NodeID
}

// loadState reads a state from a file, or makes a new one if there is no file.
func loadState(path string) (*state, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &state{ControlKey: key.NewMachine()}, nil
	}
	if err != nil {
		return nil, err
	}
	st := new(state)
	return st, json.Unmarshal(raw, st)
}

// saveTo returns a function that writes a state to a file if it differs from the one last written.
func saveTo(path string) func(*state) error {
	var last []byte
	return func(st *state) error {
		raw, err := json.MarshalIndent(st, "", "  ")
		if err != nil || bytes.Equal(raw, last) {
			return err
		}
		if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
			return err
		}
		last = raw
		return os.Rename(path+".new", path)
	}
}
