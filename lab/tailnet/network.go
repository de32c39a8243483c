package main

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"slices"
	"sync"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/dnsname"
)

const (
	// reconnectGrace is how long a device without a map poll still counts as online: clients restart their poll now and
	// then, and a route must not move for that.
	reconnectGrace = 2 * time.Second
	// restartGrace is the same for the devices that a starting server knows. All of them have to find it again first, and
	// clients wait up to 30 s between two attempts, each of which may take 10 s.
	restartGrace = 45 * time.Second
)

var errUnknownDevice = errors.New("no device of this tailnet has this node key")

// A device is a machine that has joined the tailnet. Its exported fields outlive the server.
type device struct {
	ID        tailcfg.NodeID
	Name      string // unique in the tailnet: the host name, with a number if another device has it
	NodeKey   key.NodePublic
	Machine   key.MachinePublic
	Disco     key.DiscoPublic
	Addresses []netip.Prefix
	Tags      []string
	Created   time.Time
	LastSeen  time.Time // end of the last map poll
	Version   tailcfg.CapabilityVersion
	Hostinfo  *tailcfg.Hostinfo
	Endpoints []netip.AddrPort
	LoggedOut bool      // it has no node key any more, and is nobody's peer
	Expires   time.Time `json:",omitzero"` // end of its node key; zero: never, as of devices with tags

	// Approved has the routes that the device advertises and the policy approves, each with the position at which it was
	// first advertised (see router.since).
	Approved map[netip.Prefix]int64

	polls       int       // streaming map polls in progress
	onlineUntil time.Time // grace after the last of them
}

func (d *device) online() bool {
	return !d.LoggedOut && !d.expired() && (d.polls > 0 || time.Now().Before(d.onlineUntil))
}

// expired says that the node key has ended: the client stays on its map poll, to learn of a renewal, and does nothing else.
func (d *device) expired() bool { return !d.Expires.IsZero() && d.Expires.Before(time.Now()) }

// baseName is the name that the device would have if it were the only one with its host name.
func (d *device) baseName() string {
	return cmp.Or(dnsname.SanitizeHostname(d.Hostinfo.Hostname), "device")
}

// A policy says who may join and what they get.
type policy struct {
	approve []approval
	keyTags func(authKey string) ([]string, error) // the tags of the devices that join by a key

	// keepLoggedOut says that a device that logs out is still a device of the tailnet, with its name and addresses, for when
	// the same machine logs in again. Otherwise it is deleted, as an ephemeral one is by Tailscale.
	keepLoggedOut bool
}

// An approval says that routes within a prefix are approved, of all devices or of those with a tag.
type approval struct {
	within netip.Prefix
	tag    string // empty: of all devices
}

// approvedOf returns the prefixes within which the device's routes are approved.
func (p policy) approvedOf(d *device) []netip.Prefix {
	var within []netip.Prefix
	for _, a := range p.approve {
		if a.tag == "" || slices.Contains(d.Tags, a.tag) {
			within = append(within, a.within)
		}
	}
	return within
}

// A network is a tailnet: its devices and who carries which route. Its methods are safe for concurrent use.
type network struct {
	policy  policy
	derpMap *tailcfg.DERPMap
	save    func(*state) error

	mu      sync.Mutex
	state   *state
	changed chan struct{} // closed and replaced at each change
}

// newNetwork makes the tailnet of a state; save is called with it after each change.
func newNetwork(p policy, dm *tailcfg.DERPMap, st *state, save func(*state) error) *network {
	for _, d := range st.Devices {
		d.onlineUntil = time.Now().Add(restartGrace)
	}
	n := &network{policy: p, derpMap: dm, save: save, state: st, changed: make(chan struct{})}
	time.AfterFunc(restartGrace, n.settle)
	return n
}

// register handles a client's login, its return after a restart, and its logout.
func (n *network) register(machine key.MachinePublic, req *tailcfg.RegisterRequest) *tailcfg.RegisterResponse {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.byNodeKey(req.NodeKey)
	if d != nil && d.Machine != machine {
		return &tailcfg.RegisterResponse{Error: "this node key belongs to another machine"}
	}
	if !req.Expiry.IsZero() && req.Expiry.Before(time.Now()) { // how a client logs out
		if d != nil {
			log.Printf("%s: logged out", d.Name)
			if n.policy.keepLoggedOut {
				d.LoggedOut = true
				n.settleLocked()
			} else {
				n.removeLocked(d)
			}
		}
		return &tailcfg.RegisterResponse{NodeKeyExpired: true}
	}

	authKey := ""
	if req.Auth != nil {
		authKey = req.Auth.AuthKey
	}
	var tags []string
	switch {
	case authKey != "":
		var err error
		if tags, err = n.policy.keyTags(authKey); err != nil {
			log.Printf("refused %q: %v", req.Hostinfo.Hostname, err)
			return &tailcfg.RegisterResponse{Error: err.Error()}
		}
		// As headscale from 0.28 on: tags come with the key, and a device may ask for none, not even for those.
		if asked := req.Hostinfo.RequestTags; len(asked) > 0 {
			log.Printf("refused %q: it asks for tags beside a key", req.Hostinfo.Hostname)
			return &tailcfg.RegisterResponse{Error: fmt.Sprintf("requested tags %v are invalid or not permitted", asked)}
		}
	case d == nil:
		// Where Tailscale sends a person to log in. There is no such page here: the client waits in NeedsLogin.
		return &tailcfg.RegisterResponse{AuthURL: "http://login.invalid/"}
	default:
		tags = d.Tags
	}

	if d == nil { // a machine that is known stays the same device under its new node key
		d = n.find(func(d *device) bool { return d.Machine == machine })
	}
	if d == nil {
		d = n.addLocked(machine, req.Hostinfo)
	}
	d.NodeKey, d.LoggedOut, d.Tags = req.NodeKey, false, tags
	n.setHostinfoLocked(d, req.Hostinfo)
	n.settleLocked()
	return &tailcfg.RegisterResponse{
		User:              tailcfg.User{ID: taggedDevices.ID, DisplayName: taggedDevices.DisplayName},
		Login:             tailcfg.Login{ID: tailcfg.LoginID(taggedDevices.ID), LoginName: taggedDevices.LoginName},
		MachineAuthorized: true,
	}
}

// addLocked makes a device with an ID and addresses that no other had before.
func (n *network) addLocked(machine key.MachinePublic, hi *tailcfg.Hostinfo) *device {
	n.state.LastID++
	id := n.state.LastID
	v4 := netip.AddrFrom4([4]byte{100, 64, byte(id >> 8), byte(id)})
	v6 := tsaddr.Tailscale4To6(v4)
	d := &device{
		ID:        id,
		Machine:   machine,
		Addresses: []netip.Prefix{netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128)},
		Created:   time.Now().UTC(),
	}
	n.state.Devices = append(n.state.Devices, d)
	n.setHostinfoLocked(d, hi)
	log.Printf("%s: joined as %v", d.Name, v4)
	return d
}

func (n *network) removeLocked(d *device) {
	n.state.Devices = slices.DeleteFunc(n.state.Devices, func(other *device) bool { return other == d })
	n.settleLocked()
}

func (n *network) setHostinfoLocked(d *device, hi *tailcfg.Hostinfo) {
	sameName := d.Hostinfo != nil && d.Hostinfo.Hostname == hi.Hostname
	d.Hostinfo = hi
	if sameName {
		return
	}
	d.Name = ""
	base := d.baseName()
	name := base
	for i := 1; n.find(func(other *device) bool { return other.Name == name }) != nil; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	d.Name = name
}

// update takes over what a client reports about itself.
func (n *network) update(machine key.MachinePublic, req *tailcfg.MapRequest) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.deviceLocked(machine, req.NodeKey)
	if err != nil {
		return err
	}
	d.Disco, d.Endpoints, d.Version = req.DiscoKey, req.Endpoints, req.Version
	if req.Hostinfo != nil {
		n.setHostinfoLocked(d, req.Hostinfo)
	}
	n.settleLocked()
	return nil
}

// attach notes that a device has a streaming map poll, which makes it online, until the function it returns is called.
func (n *network) attach(machine key.MachinePublic, k key.NodePublic) (detach func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.deviceLocked(machine, k)
	if err != nil {
		return nil, err
	}
	if !d.online() {
		log.Printf("%s: online", d.Name)
	}
	d.polls++
	n.settleLocked()
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		d.polls--
		if d.polls > 0 {
			return
		}
		d.LastSeen = time.Now().UTC().Truncate(time.Second)
		d.onlineUntil = time.Now().Add(reconnectGrace)
		time.AfterFunc(reconnectGrace, func() { n.expire(d) })
	}, nil
}

// expire takes a device offline if its grace is over: a later poll may have renewed it.
func (n *network) expire(d *device) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d.online() || !slices.Contains(n.state.Devices, d) {
		return
	}
	log.Printf("%s: offline", d.Name)
	n.settleLocked()
}

// setExpiry ends a device's node key at that time, or never if it is zero.
func (n *network) setExpiry(name string, expires time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.find(func(d *device) bool { return d.Name == name })
	if d == nil {
		return fmt.Errorf("no device of this tailnet has the name %q", name)
	}
	d.Expires = expires
	log.Printf("%s: its node key expires %v", d.Name, expires)
	n.settleLocked()
	return nil
}

// settle brings routes, store and waiting clients in line with the devices.
func (n *network) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settleLocked()
}

func (n *network) settleLocked() {
	routers := map[netip.Prefix][]router{}
	for _, d := range n.state.Devices {
		advertised := map[netip.Prefix]int64{}
		for _, route := range d.Hostinfo.RoutableIPs {
			if d.LoggedOut || !approved(n.policy.approvedOf(d), route) {
				continue
			}
			since, known := d.Approved[route]
			if !known {
				n.state.LastAdvertised++
				since = n.state.LastAdvertised
			}
			advertised[route] = since
			routers[route] = append(routers[route], router{id: d.ID, since: since, online: d.online()})
		}
		d.Approved = advertised
	}
	primaries := map[netip.Prefix]tailcfg.NodeID{}
	for route, candidates := range routers {
		primaries[route] = electPrimary(n.state.Primaries[route], candidates)
	}
	for route, was := range n.state.Primaries {
		if primaries[route] != was {
			log.Printf("route %v: no longer with %s", route, n.nameLocked(was))
		}
	}
	for route, is := range primaries {
		if n.state.Primaries[route] != is {
			log.Printf("route %v: primary is %s", route, n.nameLocked(is))
		}
	}
	n.state.Primaries = primaries
	if err := n.save(n.state); err != nil {
		log.Printf("cannot save the state: %v", err)
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// primaryRoutesLocked returns the routes that the device carries, sorted.
func (n *network) primaryRoutesLocked(d *device) []netip.Prefix {
	var routes []netip.Prefix
	for route := range d.Approved {
		if n.state.Primaries[route] == d.ID {
			routes = append(routes, route)
		}
	}
	slices.SortFunc(routes, netip.Prefix.Compare)
	return routes
}

func (n *network) deviceLocked(machine key.MachinePublic, k key.NodePublic) (*device, error) {
	d := n.byNodeKey(k)
	if d == nil || d.Machine != machine {
		return nil, errUnknownDevice
	}
	return d, nil
}

func (n *network) byNodeKey(k key.NodePublic) *device {
	return n.find(func(d *device) bool { return d.NodeKey == k && !d.LoggedOut })
}

func (n *network) find(match func(*device) bool) *device {
	if i := slices.IndexFunc(n.state.Devices, match); i >= 0 {
		return n.state.Devices[i]
	}
	return nil
}

func (n *network) nameLocked(id tailcfg.NodeID) string {
	if d := n.find(func(d *device) bool { return d.ID == id }); d != nil {
		return d.Name
	}
	return "a removed device"
}
