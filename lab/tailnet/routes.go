package main

import (
	"net/netip"

	"tailscale.com/tailcfg"
)

// A router is a device that advertises a certain approved route.
type router struct {
	id     tailcfg.NodeID
	since  int64 // position in the order in which devices began to advertise routes; lower is older
	online bool
}

// electPrimary returns which of the routers of one route carries it, or 0 if there are none.
//
// The current primary stays while it is online, so that a router that returns does not take the route back and break the
// connections through its successor. Otherwise the router that has advertised the route the longest takes over. With no
// router online nothing moves: it would help nobody, and the one that had the route may be the first to return.
func electPrimary(current tailcfg.NodeID, routers []router) tailcfg.NodeID {
	var oldest, oldestOnline, incumbent *router
	for i := range routers {
		r := &routers[i]
		if oldest == nil || r.since < oldest.since {
			oldest = r
		}
		if r.online && (oldestOnline == nil || r.since < oldestOnline.since) {
			oldestOnline = r
		}
		if r.id == current {
			incumbent = r
		}
	}
	switch {
	case oldest == nil:
		return 0
	case incumbent != nil && (incumbent.online || oldestOnline == nil):
		return incumbent.id
	case oldestOnline != nil:
		return oldestOnline.id
	default:
		return oldest.id
	}
}

// approved reports whether a route equals one of the prefixes or lies within one, as the policy's autoApprovers have it.
func approved(within []netip.Prefix, route netip.Prefix) bool {
	for _, p := range within {
		if p.Bits() <= route.Bits() && p.Contains(route.Addr()) {
			return true
		}
	}
	return false
}
