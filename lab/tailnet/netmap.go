package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

const domain = "tailnet.lab"

// taggedDevices is the user that Tailscale shows as the owner of devices with tags.
var taggedDevices = tailcfg.UserProfile{ID: 1, LoginName: "tagged-devices", DisplayName: "Tagged Devices"}

// A mapView is what one map poll has told its client so far.
type mapView struct {
	started bool
	self    []byte
	peers   map[tailcfg.NodeID][]byte
}

// nextMap returns what has changed for a client since the last call with the same view: all the first time, nil if nothing.
// The channel is closed at the next change of the network.
func (n *network) nextMap(
	machine key.MachinePublic, k key.NodePublic, view *mapView,
) (*tailcfg.MapResponse, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	self, err := n.deviceLocked(machine, k)
	if err != nil {
		return nil, nil, err
	}
	var res tailcfg.MapResponse
	selfNode := n.nodeLocked(self)
	selfNode.AllowedIPs = append(slices.Clone(self.Addresses), sortedRoutes(self.Approved)...)
	if j := mustJSON(selfNode); !bytes.Equal(j, view.self) {
		res.Node, view.self = selfNode, j
	}

	peers := map[tailcfg.NodeID][]byte{}
	var changed []*tailcfg.Node
	for _, d := range n.state.Devices { // in the order of their IDs, as clients want them
		if d == self || d.LoggedOut {
			continue
		}
		node := n.nodeLocked(d)
		peers[d.ID] = mustJSON(node)
		if !bytes.Equal(peers[d.ID], view.peers[d.ID]) {
			changed = append(changed, node)
		}
	}
	if view.started {
		res.PeersChanged = changed
	} else {
		res.Peers = changed
	}
	for id := range view.peers {
		if _, ok := peers[id]; !ok {
			res.PeersRemoved = append(res.PeersRemoved, id)
		}
	}
	view.peers = peers

	if view.started && res.Node == nil && len(changed) == 0 && len(res.PeersRemoved) == 0 {
		return nil, n.changed, nil
	}
	if !view.started {
		view.started = true
		res.Domain = domain
		res.DERPMap = n.derpMap
		res.DNSConfig = &tailcfg.DNSConfig{}
		res.PacketFilter = tailcfg.FilterAllowAll
		res.UserProfiles = []tailcfg.UserProfile{taggedDevices}
		res.CollectServices = "false"
		now := time.Now().UTC()
		res.ControlTime = &now
	}
	return &res, n.changed, nil
}

// nodeLocked describes a device as its peers see it: of all approved routes they are told only those that it carries.
func (n *network) nodeLocked(d *device) *tailcfg.Node {
	routes := n.primaryRoutesLocked(d)
	online := d.online()
	// Peers need no more of the Hostinfo, and the rest changes often (NetInfo's latencies).
	hostinfo := &tailcfg.Hostinfo{Hostname: d.Hostinfo.Hostname, OS: d.Hostinfo.OS, RoutableIPs: d.Hostinfo.RoutableIPs}
	node := &tailcfg.Node{
		ID:                d.ID,
		StableID:          d.stableID(),
		Name:              d.Name + "." + domain + ".",
		User:              taggedDevices.ID,
		Key:               d.NodeKey,
		Machine:           d.Machine,
		DiscoKey:          d.Disco,
		Addresses:         d.Addresses,
		AllowedIPs:        append(slices.Clone(d.Addresses), routes...),
		PrimaryRoutes:     routes,
		Endpoints:         d.Endpoints,
		HomeDERP:          derpRegion, // the only one, so known before the client has measured it
		Hostinfo:          hostinfo.View(),
		Created:           d.Created,
		Cap:               d.Version,
		Tags:              d.Tags,
		Online:            &online,
		MachineAuthorized: true,
		KeyExpiry:         d.Expires,
		Expired:           d.expired(),
	}
	if !online && !d.LastSeen.IsZero() {
		node.LastSeen = &d.LastSeen
	}
	return node
}

func (d *device) stableID() tailcfg.StableNodeID {
	return tailcfg.StableNodeID(fmt.Sprintf("nLab%dCNTRL", d.ID))
}

func sortedRoutes(routes map[netip.Prefix]int64) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(routes), netip.Prefix.Compare)
}

// mustJSON is for types of this package and tailcfg, all of which can be encoded.
func mustJSON(v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return j
}
